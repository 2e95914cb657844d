"""Drains with few and with very many orders waiting: a backlog must not slow down what works it off."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import psutil
import redis

from deploy.measure import backlog, database, gate, processes
from deploy.measure.at_once import PROVIDER
from deploy.measure.database import Connection
from deploy.measure.parts import drained
from deploy.measure.parts.outcome import Outcome
from deploy.measure.parts.scale import not_full_size
from deploy.measure.plan import Plan
from deploy.measure.stand import Stand
from deploy.measure.traffic import Invalid
from deploy.measure.turns import in_turn, whole_rounds
from deploy.stack import product, signals
from shared.messages import queues

UPKEEP: Final = f"worker-{processes.UPKEEP}"
LOOK_EVERY_S: Final = 0.25
QUIET_S: Final = 1.5
"""So long nothing moved: no step takes longer with a PSP that answers at once."""
QUIET_WITHIN_S: Final = 60.0
_MOVES: Final = "SELECT count(*) FROM order_events"
_DONE: Final = "SELECT count(*) FROM order_events WHERE state = 'done' AND at <= %s"


def measure(stand: Stand, plan: Plan, outcome: Outcome) -> None:
    """Add the figure of drains with few and many waiting to *outcome*, of whole turns alone if it is stopped.

    Raises Invalid, ProcessDied or StopAsked.
    """
    seen: dict[str, list[float]] = {}
    try:
        _drains(stand, plan, seen)
    finally:
        rates = whole_rounds(seen)
        if any(rates.values()):
            note = f"{plan.many_waiting:,} and {plan.few_waiting:,} waiting; of many, the first"
            note += f" {plan.window_seconds:g} s"
            more = {"note": note, "not_judged": not_full_size(plan)}
            outcome.add("drain, many waiting / few", "orders/s", rates["many"], rates["few"], **more)


def _drains(stand: Stand, plan: Plan, seen: dict[str, list[float]]) -> None:
    home, wiring = stand.home, stand.wiring
    with database.connected(stand.admin_url) as conn:
        backlog.forget(stand, conn)
    with (
        stand.running(product.api(home, wiring), *processes.workers(home, wiring)) as up,
        database.connected(stand.admin_url) as conn,
    ):
        workers = {name: root for name, root in up.items() if name != "api"}
        drained.ours(stand, conn, workers, plan.warm_orders, PROVIDER)
        ways: dict[str, Callable[[], float]] = {
            "few": lambda: drained.ours(stand, conn, workers, plan.few_waiting, PROVIDER).per_second,
            "many": partial(_many, stand, conn, workers, plan.many_waiting, plan.window_seconds),
        }
        in_turn(
            ways,
            max(1, plan.rounds // 2),
            lambda number, name, rate: stand.show.say(f"  drain {number}, {name} waiting: {rate:,.0f} a second"),
            seen,
        )


def _many(stand: Stand, conn: Connection, up: Mapping[str, psutil.Process], count: int, seconds: float) -> float:
    """Orders a second of the first *seconds* with *count* waiting."""
    with gate.closed(up.values()):
        backlog.lay_out(stand, conn, count, PROVIDER)
        began = database.clock(conn)
    ends_at = time.monotonic() + seconds
    while time.monotonic() < ends_at and database.left(conn):
        signals.check()
        time.sleep(LOOK_EVERY_S)
    now = database.clock(conn)
    done = int(database.value(conn, _DONE, now))
    _clear(stand, conn, up)
    return float(done / (now - began).total_seconds())


def _clear(stand: Stand, conn: Connection, up: Mapping[str, psutil.Process]) -> None:
    """Take the rest of the work away, while nobody rings for it again."""
    with gate.closed([up[UPKEEP]]), redis.Redis.from_url(stand.wiring.broker_url) as broker:
        ends_at = time.monotonic() + QUIET_WITHIN_S
        moves, since = -1, time.monotonic()
        while time.monotonic() - since < QUIET_S:
            signals.check()
            if time.monotonic() > ends_at:
                raise Invalid("the workers found work where there was none")
            for queue in queues():
                broker.delete(queue)
            if (now := int(database.value(conn, _MOVES))) != moves:
                moves, since = now, time.monotonic()
            time.sleep(LOOK_EVERY_S)
        database.empty_orders(conn)
