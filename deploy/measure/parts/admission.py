"""Admission: how many orders a second the front door writes down, everything on, beside the floor and the naive way.

Every window is checked in the database: as many rows as answers, and for ours and the naive way a message for each. So
no server is fast by doing less than it says.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, LiteralString

import psutil
import redis
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url

from deploy.measure import database, traffic
from deploy.measure.backlog import depth
from deploy.measure.database import Connection
from deploy.measure.goods import order_of
from deploy.measure.parts import served
from deploy.measure.parts.outcome import Outcome
from deploy.measure.parts.served import Window
from deploy.measure.plan import Plan
from deploy.measure.rivals import naive_rows, naive_tasks, programs
from deploy.measure.stand import SUBMIT, Stand
from deploy.measure.traffic import NUMBER, Invalid, Kind
from deploy.measure.turns import in_turn
from deploy.stack import product
from shared.messages import Step, queues_in_turn

PUBLISHED_WITHIN_S: Final = 5.0
"""Our rings are published beside the answers: what waits when load ends takes a fraction of a second."""

QUIET_S: Final = 0.1
"""A request that was in flight when load ended is written down within it, or moves the count."""


@dataclass(frozen=True, slots=True)
class Way:
    """One front door: what it is asked, where its rows and its messages are."""

    name: str
    kind: Kind
    server: psutil.Process
    count: LiteralString
    """The statement that counts its rows."""
    queues: tuple[str, ...]
    """Where its messages wait; none, if it sends none."""


def measure(stand: Stand, plan: Plan) -> Outcome:
    """The figures of admission. Raises Invalid, ProcessDied or StopAsked."""
    prepare_rivals(stand)
    ours = product.api(stand.home, stand.wiring)
    with (
        stand.running(ours, programs.floor(stand.home, stand.wiring), programs.naive(stand.home, stand.wiring)) as up,
        database.connected(stand.admin_url) as conn,
    ):
        database.empty_orders(conn)
        ways = {way.name: way for way in _ways(stand, up)}
        served.warm_up(stand, (way.kind for way in ways.values()), seconds=plan.warm_seconds)
        asked: dict[str, Callable[[], Window]] = {
            name: partial(_window, stand, conn, way, plan.seconds) for name, way in ways.items()
        }
        seen = in_turn(
            asked, plan.rounds, lambda number, name, window: stand.show.say(f"  admission {number}, {name}: {window}")
        )
    return _figures(seen)


def prepare_rivals(stand: Stand) -> None:
    """Make the tables of what we compare with."""
    engine = create_engine(make_url(stand.wiring.database_url).set(drivername="postgresql+psycopg"))
    naive_rows.made_anew(engine)
    engine.dispose()


def submitting(stand: Stand, port: int) -> Kind:
    """Orders to the product's API at *port*."""
    return Kind(port, "POST", [SUBMIT], stand.headers | {"content-type": "application/json"}, _body(stand.offer))


def _ways(stand: Stand, up: dict[str, psutil.Process]) -> list[Way]:
    ours = Way(
        "ours",
        submitting(stand, stand.wiring.api_port),
        up["api"],
        "SELECT count(*) FROM orders",
        queues_in_turn(Step.LOCK_OFFER),
    )
    body, headers = _body(stand.offer), {"content-type": "application/json"}

    def rival(name: str, count: LiteralString, *queues: str) -> Way:
        kind = Kind(programs.port_of(name, stand.home), "POST", ["/orders"], headers, body)
        return Way(name, kind, up[name], count, queues)

    return [
        ours,
        rival(programs.FLOOR, "SELECT count(*) FROM rivals.floor_orders"),
        rival(programs.NAIVE, "SELECT count(*) FROM rivals.naive_orders", naive_tasks.QUEUES["lock"]),
    ]


def _body(offer: str) -> str:
    return json.dumps(order_of(offer, correlation=NUMBER, customer=f"cu.{NUMBER}"))


def _window(stand: Stand, conn: Connection, way: Way, seconds: float) -> Window:
    before = _rows(conn, way)
    with redis.Redis.from_url(stand.wiring.broker_url) as broker:
        if way.queues:
            broker.delete(*way.queues)
        seen = served.window(stand, way.kind, way.server, seconds=seconds)
        rows = _written(conn, way, before, seen.load.requests)
        if way.queues:
            _published(broker, way.queues, rows)
    return seen


def _written(conn: Connection, way: Way, before: int, answers: int) -> int:
    """How many rows were written, once nothing is in flight any more; raises Invalid if they are not the answers'."""
    rows = -1
    while (now := _rows(conn, way) - before) != rows:
        rows = now
        time.sleep(QUIET_S)
    if not answers <= rows <= answers + traffic.CONNECTIONS:
        raise Invalid(f"{way.name}: {answers} answers and {rows} rows")
    return rows


def _published(broker: redis.Redis, queues: tuple[str, ...], rows: int) -> None:
    ends_at = time.monotonic() + PUBLISHED_WITHIN_S
    while (waiting := depth(broker, *queues)) < rows:
        if time.monotonic() > ends_at:
            raise Invalid(f"{rows} orders and {waiting} messages")
        time.sleep(0.05)


def _rows(conn: Connection, way: Way) -> int:
    return int(database.value(conn, way.count))


def _figures(seen: dict[str, list[Window]]) -> Outcome:
    outcome = Outcome()
    ours, floor, naive = seen["ours"], seen[programs.FLOOR], seen[programs.NAIVE]
    more = served.details(seen)
    outcome.add("admission / floor", "orders/s", served.rates(ours), served.rates(floor), details=more)
    outcome.add("admission / naive", "orders/s", served.rates(ours), served.rates(naive))
    cpu = served.processor_ms
    outcome.add("processor time of an admission / floor", "ms", cpu(ours), cpu(floor), note="server and PostgreSQL")
    return outcome
