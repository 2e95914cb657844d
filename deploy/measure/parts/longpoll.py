"""Waiting pollers: ten thousand held answers on one process, their cost to others, how soon a change reaches them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

import httpx
import psutil
from sqlalchemy import Engine, insert

from deploy.measure import database
from deploy.measure.crowd import Crowd
from deploy.measure.database import Connection
from deploy.measure.parts.cost import of_one_process
from deploy.measure.parts.latency import percentile
from deploy.measure.parts.outcome import Outcome
from deploy.measure.plan import Plan
from deploy.measure.stand import SUBMIT, Stand
from deploy.measure.traffic import Invalid
from deploy.measure.usage import Meter
from deploy.measure.waiters import Waiters
from deploy.stack import product
from deploy.stack.waiting import until
from shared.config import Settings
from shared.domain.states import OrderState
from shared.ids import new_tracking_number
from shared.store import moves
from shared.store.engine import create_engine
from shared.store.row_security import Role
from shared.store.tables import orders as order_rows

ADMITTED_A_SECOND: Final = 40.0
"""The orders whose answers are timed: far from what one process can take, so that what is seen is the waiting."""
ENDED_A_SECOND: Final = 50.0
HEARD_WITHIN_S: Final = 30.0
QUICK_S: Final = 0.02
MANY: Final = 10_000
MIB: Final = 1 << 20
_READS: Final = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"


def measure(stand: Stand, plan: Plan) -> Outcome:
    """The figures of waiting pollers. Raises Invalid, ProcessDied or StopAsked."""
    api = of_one_process(product.api(stand.home, stand.wiring))
    with stand.running(api) as up, database.connected(stand.admin_url) as conn, _mover(stand) as mover:
        database.empty_orders(conn)
        numbers = _captured(mover, stand, plan.pollers)
        [server] = up["api"].children()
        _admitted(stand, plan)  # Warm.
        before_mib = server.memory_info().rss / MIB
        alone = _admitted(stand, plan)
        waiters = Waiters(stand.wiring.api_port, stand.headers, f"{SUBMIT}/{{}}/status")
        try:
            return _with_waiters(stand, plan, conn, mover, numbers, server, waiters, alone, before_mib)
        finally:
            waiters.close()


def _with_waiters(
    stand: Stand,
    plan: Plan,
    conn: Connection,
    mover: Engine,
    numbers: Sequence[str],
    server: psutil.Process,
    waiters: Waiters,
    alone: list[float],
    before_mib: float,
) -> Outcome:
    reads = int(database.value(conn, _READS))
    waiters.open(numbers)
    _quiet(stand)
    meter = Meter({"server": server, **stand.servers})
    began, unchanged = time.monotonic(), waiters.unchanged
    among = _admitted(stand, plan)
    usage, seconds = meter.used(), time.monotonic() - began
    after_mib = server.memory_info().rss / MIB
    ended = numbers[: plan.ended_pollers]
    took = _ended(stand, mover, ended, waiters)
    if waiters.broken:
        raise Invalid(f"{len(waiters.broken)} pollers heard {sorted(set(waiters.broken))[:5]}")
    reads = int(database.value(conn, _READS)) - reads - len(ended) - 2 * len(among)
    outcome = Outcome()
    held = {
        "pollers": len(numbers),
        "askedAgainASecond": (waiters.unchanged - unchanged) / seconds,
        "cores": {name: ms / 1_000 / seconds for name, ms in usage.per(1).items()},
        "coresOfStrangers": usage.strangers,
        "memoryMiB": {"before": before_mib, "after": after_mib},
    }
    p99 = partial(percentile, part=99)
    small = "" if len(numbers) >= MANY else "a quick run"
    outcome.add("waiting pollers on one process", "", [len(numbers)], details=held, not_judged=small)
    outcome.add("admission p99, with waiting pollers / without", "ms", [p99(among)], [p99(alone)])
    outcome.add("admission p50, with waiting pollers / without", "ms", [percentile(among, 50)], [percentile(alone, 50)])
    for part in (50, 99):
        outcome.add(f"change to answer, p{part}", "ms", [percentile(took, part)], note=f"{len(took)} changes")
    outcome.add("database reads of a waited-for order", "", [max(0, reads) / len(numbers)])
    outcome.add("memory of a waiting poller", "KiB", [(after_mib - before_mib) * 1_024 / len(numbers)])
    return outcome


def _admitted(stand: Stand, plan: Plan) -> list[float]:
    """How long the answers to steadily arriving orders took, in milliseconds."""
    crowd = Crowd(stand.submit_url, stand.headers, stand.offer)
    crowd.arrive(ADMITTED_A_SECOND, plan.latency_seconds)
    stand.show.say(f"  admission: {_told(crowd.took_ms)}")
    return list(crowd.took_ms)


def _ended(stand: Stand, mover: Engine, numbers: Sequence[str], waiters: Waiters) -> list[float]:
    """How long each poller waited for the news of its order, in milliseconds; orders end at a steady rate."""
    ended_at: dict[str, float] = {}
    began = time.monotonic()
    for already, number in enumerate(numbers):
        time.sleep(max(0.0, began + already / ENDED_A_SECOND - time.monotonic()))
        if moves.ended_with_nothing_to_store(mover, number) is None:
            raise Invalid("an order that was to end did not")
        ended_at[number] = time.monotonic()
    until(lambda: waiters.done_at.keys() >= ended_at.keys(), "pollers have not heard", within_s=HEARD_WITHIN_S)
    took = [(waiters.done_at[number] - at) * 1_000 for number, at in ended_at.items()]
    stand.show.say(f"  change to answer: {_told(took)}")
    return took


def _quiet(stand: Stand) -> None:
    """Wait until the server has taken all pollers in hand: while they come it is late for whoever comes behind them."""
    with httpx.Client(base_url=stand.wiring.base_url, trust_env=False, timeout=HEARD_WITHIN_S) as http:
        until(
            lambda: http.get("/healthz").elapsed.total_seconds() < QUICK_S, "server is quick", within_s=HEARD_WITHIN_S
        )


def _told(took_ms: Sequence[float]) -> str:
    return f"p50 {percentile(took_ms, 50):.1f}, p99 {percentile(took_ms, 99):.1f}, at most {max(took_ms):.1f} ms"


@contextmanager
def _mover(stand: Stand) -> Iterator[Engine]:
    """Who ends orders, as a worker does."""
    settings = Settings.model_validate({"DATABASE_URL": stand.wiring.database_url})
    engine = create_engine(settings, role=Role.ENGINE_ROOM)
    try:
        yield engine
    finally:
        engine.dispose()


def _captured(engine: Engine, stand: Stand, many: int) -> list[str]:
    """So many orders of the tenant that only have to end."""
    row = {
        "tenant_id": stand.seeded.tenant_id,
        "state": OrderState.CAPTURED.value,
        "offer_identifier": stand.offer,
        "customer_urn": "cu.00.482",
        "channel": "CreditCard",
        "carries_card": False,
        "keeps_method": False,
        "request": {"order": {"items": []}},
        "amount_minor": 1499,
        "currency": "EUR",
        "due_at": datetime.now(UTC) + timedelta(hours=1),
    }
    numbers = [new_tracking_number() for _ in range(many)]
    with engine.begin() as conn:
        conn.execute(insert(order_rows), [row | {"tracking_number": number} for number in numbers])
    return numbers
