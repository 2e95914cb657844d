"""Latency: how long an order takes from submit to done while others come at a steady rate.

The rate is a share of what the engine room drains when it has the machine to itself; here the front door and the
client's own process are on the same cores, so the highest share may be more than both can take, and then it shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from deploy.measure import backlog, database, processes, spread
from deploy.measure.at_once import PROVIDER
from deploy.measure.crowd import Crowd
from deploy.measure.database import Connection
from deploy.measure.parts import drained
from deploy.measure.parts.outcome import Outcome
from deploy.measure.plan import Plan
from deploy.measure.stand import Stand
from deploy.measure.usage import Meter
from deploy.stack import product
from deploy.stack.waiting import until

SHARES: Final = (0.2, 0.5, 0.8)
DONE_WITHIN_S: Final = 120.0
_TOOK: Final = """
    SELECT percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY extract(epoch FROM done.at - came.at) * 1000)
    FROM order_events AS came JOIN order_events AS done USING (tenant_id, tracking_number)
    WHERE came.event = 'admitted' AND done.state = 'done'
"""
"""Both by the database's clock: what its client hears comes one answer later, which is told beside it."""


def measure(stand: Stand, plan: Plan, drain_rates: Sequence[float]) -> Outcome:
    """The figures of latency, at shares of the median of *drain_rates*, or of a drain of its own."""
    outcome = Outcome()
    home, wiring = stand.home, stand.wiring
    with database.connected(stand.admin_url) as conn:
        backlog.forget(stand, conn)
    with (
        stand.running(product.api(home, wiring), *processes.workers(home, wiring)) as up,
        database.connected(stand.admin_url) as conn,
    ):
        workers = {name: root for name, root in up.items() if name != "api"}
        drained.ours(stand, conn, workers, plan.warm_orders, PROVIDER)
        rates = drain_rates or [drained.ours(stand, conn, workers, plan.drained, PROVIDER).per_second]
        for share in SHARES:
            _at(share, share * spread.of(rates).middle, stand, conn, Meter({**up, **stand.servers}), plan, outcome)
    return outcome


def _at(share: float, rate: float, stand: Stand, conn: Connection, meter: Meter, plan: Plan, outcome: Outcome) -> None:
    database.empty_orders(conn)
    crowd = Crowd(stand.submit_url, stand.headers, stand.offer, PROVIDER)
    crowd.arrive(rate, plan.latency_seconds)
    left = database.left(conn)
    until(lambda: database.left(conn) == 0, "orders are not done", within_s=DONE_WITHIN_S)
    usage = meter.used()
    took = dict(zip(("p50", "p95", "p99"), database.value(conn, _TOOK), strict=True))
    told = ", ".join(f"{name} {value:.0f} ms" for name, value in took.items())
    stand.show.say(f"  latency at {share:.0%}, {rate:.0f} a second: {told}")
    details = {
        "ordersPerSecond": rate,
        "orders": len(crowd.accepted),
        "leftWhenTheLastCame": left,
        "putOff": crowd.put_off,
        "answerMs": {name: percentile(crowd.took_ms, part) for name, part in (("p50", 50), ("p95", 95), ("p99", 99))},
        "cpuMsPerOrder": usage.per(len(crowd.accepted)),
        "coresOfStrangers": usage.strangers,
    }
    note = f"{rate:.0f} orders/s for {plan.latency_seconds:g} s, {left} open at its end, {crowd.put_off} put off"
    more: dict[str, Any] = {"note": note, "details": details}
    for name, value in took.items():
        outcome.add(f"submit to done at {share:.0%} of the drain rate, {name}", "ms", [value], **more)
        more = {}


def percentile(values: Sequence[float], part: int) -> float:
    """The value that *part* in a hundred of *values* do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * part // 100) - 1)]
