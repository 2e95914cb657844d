"""Scale: what polls and admissions take with ten million orders in the table, beside ten thousand.

Both sizes are measured in turn: two databases of one server, each with an API of its own. The finished orders are
copies of one the product made, over the months of a year (deploy/measure/year.py). Few connections ask, so that what
is told is how long an answer takes and not how long it waits for its turn.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Final

import psutil
from psycopg import sql
from sqlalchemy.engine import make_url

from deploy.measure import backlog, bar, copies, database, hands, processes, year
from deploy.measure.at_once import PROVIDER
from deploy.measure.crowd import Crowd
from deploy.measure.database import Connection
from deploy.measure.parts import served
from deploy.measure.parts.admission import submitting
from deploy.measure.parts.outcome import Outcome
from deploy.measure.parts.polling import LIVE, asking, status_paths
from deploy.measure.parts.served import Window
from deploy.measure.plan import Plan
from deploy.measure.stand import SUBMIT, Stand
from deploy.measure.traffic import Invalid, Kind
from deploy.measure.turns import in_turn, whole_rounds
from deploy.measure.year import Work
from deploy.stack import ports, product
from deploy.stack.options import LARGE
from deploy.stack.ports import HOST
from deploy.stack.product import Wiring
from deploy.stack.program import Program
from deploy.stack.waiting import until

BYTES_AN_ORDER: Final = 4_000
"""Rows and index entries in all tables, with room to build them."""
LOADING: Final = {
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "shared_buffers": "1GB",
    "max_wal_size": "32GB",
    "checkpoint_timeout": "1h",
    "autovacuum": "off",
}
"""PostgreSQL while the tables are filled: what is made and filled in one transaction is written once."""
CONNECTIONS: Final = 4
_SMALL: Final = "small"
_LARGE: Final = "large"
DATABASE: Final = "c2a_large"
KINDS: Final = ("status", "admission", "status of finished orders")
DONE_WITHIN_S: Final = 30.0


def measure(stand: Stand, plan: Plan, outcome: Outcome) -> None:
    """Add the figures of scale to *outcome*, what was measured until then if it is stopped.

    Raises Invalid, ProcessDied or StopAsked.
    """
    _need_room(stand, plan.finished)
    template = _template(stand)
    large = _in_another_database(stand)
    with stand.postgres_with(**LOADING):
        for url, count in ((stand.admin_url, plan.few_finished), (_at(stand.admin_url), plan.finished)):
            _fill(stand, url, template, count)
    seen: dict[str, list[Window]] = {}
    apis = [product.api(stand.home, stand.wiring), _large_api(stand, large)]
    try:
        with stand.running(*apis) as up:
            _windows(stand, plan, {_SMALL: (stand.wiring, up["api"]), _LARGE: (large, up["api-large"])}, seen)
    finally:
        _figures(plan, whole_rounds(seen), outcome)
    _drop(stand)


def _figures(plan: Plan, seen: dict[str, list[Window]], outcome: Outcome) -> None:
    if not any(seen.values()):
        return
    why, note = not_full_size(plan), f"{plan.finished:,} and {plan.few_finished:,} finished orders"
    details = served.details(seen)
    for what in KINDS:
        p99s = [[one.load.p99_ms for one in seen[f"{what}, {size}"]] for size in (_LARGE, _SMALL)]
        name = f"{what} p99, large table / small"
        outcome.add(name, "ms", p99s[0], p99s[1], note=note, not_judged=why, details=details)
        details = {}


def not_full_size(plan: Plan) -> str:
    """Why the goals do not apply; empty where they do."""
    return "" if plan.finished >= LARGE else f"its goal is for {LARGE:,} orders and a hundredth of them waiting"


def _need_room(stand: Stand, orders: int) -> None:
    free, need = shutil.disk_usage(stand.home.path).free, orders * BYTES_AN_ORDER
    if free < need:
        raise Invalid(
            f"{orders:,} orders need {need >> 30} GiB, and {stand.home.path} has {free >> 30}: TMPDIR moves it"
        )


def _template(stand: Stand) -> str:
    """An order the product made and finished; there is no other."""
    home, wiring = stand.home, stand.wiring
    with database.connected(stand.admin_url) as conn:
        backlog.forget(stand, conn)
    with (
        stand.running(product.api(home, wiring), *processes.workers(home, wiring)),
        database.connected(stand.admin_url) as conn,
    ):
        [number] = Crowd(stand.submit_url, stand.headers, stand.offer, PROVIDER).submit(1)
        until(lambda: database.left(conn) == 0, "the order is not done", within_s=DONE_WITHIN_S)
    return number


def _in_another_database(stand: Stand) -> Wiring:
    """A copy of the database, and how the large API reaches it."""
    with database.connected(_at(stand.admin_url, "postgres")) as conn:
        owner, source = make_url(stand.wiring.database_url).username, make_url(stand.admin_url).database
        assert owner is not None, "ours has a name"
        assert source is not None, "and so has its database"
        conn.execute(
            sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}").format(*map(sql.Identifier, (DATABASE, owner, source)))
        )
    return replace(
        stand.wiring,
        database_url=_at(stand.wiring.database_url),
        api_database_url=_at(stand.wiring.api_database_url),
        api_port=ports.kept(stand.home, "api-large"),
        metrics_ports={**stand.wiring.metrics_ports, "api": ports.kept(stand.home, "metrics-api-large")},
    )


def _drop(stand: Stand) -> None:
    with database.connected(_at(stand.admin_url, "postgres")) as conn:
        conn.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(DATABASE)))
        conn.execute("CHECKPOINT")


def _at(url: str, name: str = DATABASE) -> str:
    return make_url(url).set(database=name).render_as_string(hide_password=False)


def _fill(stand: Stand, url: str, template: str, count: int) -> None:
    with database.connected(url) as conn:
        works = year.plan(conn, template, count, datetime.now(UTC))
        _do(stand, url, f"{count:,} finished orders", works)
        copies.forget(conn)
        tables = [year.vacuum(*table) for table in year.tables(conn)]
        _do(stand, url, f"vacuum and analyze of {count:,} orders", tables)
        conn.execute("ANALYZE orders, order_events")
        conn.execute("CHECKPOINT")
        size = database.value(conn, "SELECT pg_size_pretty(pg_database_size(current_database()))")
    stand.show.say(f"  scale: {count:,} orders take {size}")


def _do(stand: Stand, url: str, what: str, works: Sequence[Work]) -> None:
    began = time.monotonic()
    with bar.shown(what, sum(work.size for work in works), stand.show.say) as shown:
        hands.do(url, works, shown)
    stand.show.mark(f"  {what}", time.monotonic() - began)


def _large_api(stand: Stand, wiring: Wiring) -> Program:
    api = product.api(stand.home, wiring)
    own = {"C2A_METRICS_DIR": str(stand.home.run / "api-large.metrics")}
    return replace(api, name="api-large", log=stand.home.log_of("api-large"), env={**api.env, **own})


def _windows(
    stand: Stand, plan: Plan, sizes: dict[str, tuple[Wiring, psutil.Process]], seen: dict[str, list[Window]]
) -> None:
    """Measure both sizes in turn, noting it in *seen*."""
    kinds: dict[str, tuple[Kind, psutil.Process]] = {}
    for size, (wiring, server) in sizes.items():
        url = stand.admin_url if size == _SMALL else _at(stand.admin_url)
        live = Crowd(f"http://{HOST}:{wiring.api_port}{SUBMIT}", stand.headers, stand.offer).submit(LIVE)
        with database.connected(url) as conn:
            finished = _sample(conn)
        kinds[f"status, {size}"] = asking(stand, status_paths(live), wiring.api_port), server
        kinds[f"status of finished orders, {size}"] = asking(stand, status_paths(finished), wiring.api_port), server
        kinds[f"admission, {size}"] = submitting(stand, wiring.api_port), server
    served.warm_up(stand, (kind for kind, _ in kinds.values()), seconds=plan.warm_seconds, connections=CONNECTIONS)
    asked = {
        name: partial(served.window, stand, *way, seconds=plan.seconds, connections=CONNECTIONS)
        for name, way in sorted(kinds.items())
    }
    in_turn(asked, plan.rounds, lambda number, name, one: stand.show.say(f"  scale {number}, {name}: {one}"), seen)


def _sample(conn: Connection) -> Sequence[str]:
    """The numbers of some finished orders of any age."""
    rows = conn.execute("""
        SELECT tracking_number FROM orders TABLESAMPLE SYSTEM (
            (SELECT least(100, 4000000 / greatest(1, reltuples)) FROM pg_class WHERE relname = 'orders'))
        WHERE state = 'done' ORDER BY random() LIMIT 2000
    """)
    return [number for (number,) in rows]
