"""One drain: orders that wait are let go, and timed by the database's clock until the last of them is done.

Ours and the naive chain do it alike: laid out while their workers are held back, then let go in one moment. That every
order came to its end, and was paid once, is checked each time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import psutil
from psycopg import sql

from deploy.measure import backlog, database, gate
from deploy.measure.database import Connection
from deploy.measure.rivals import naive_rows, naive_tasks
from deploy.measure.stand import Stand
from deploy.measure.traffic import Invalid
from deploy.measure.usage import Meter, Usage
from deploy.stack import signals
from deploy.stack.seed import TENANT_ID

LOOK_EVERY_S: Final = 0.1
SLOWEST_PER_S: Final = 5.0
"""A drain below it is broken."""
LEAST_S: Final = 60.0
_NAIVE: Final = sql.Identifier(naive_rows.SCHEMA, "naive_orders")
_LAY_OUT: Final = sql.SQL("""
    INSERT INTO {}
        (tracking_number, tenant_id, state, offer_identifier, customer_urn, correlation_id, provider, request)
    SELECT 'trk_' || lpad(n::text, 26, '0'), %s, 'admitted', %s, 'cu.' || n, 'naive-' || n, %s,
           '{{"items": [{{"itemIdentifier": "it.00.42", "quantity": 1}}]}}'
    FROM generate_series(1, %s) AS n
    RETURNING tracking_number
""").format(_NAIVE)


@dataclass(frozen=True, slots=True)
class Drained:
    """How fast it went, and on whose processor time."""

    orders: int
    seconds: float
    usage: Usage
    first_move_s: float | None = None
    """How long the first order waited for its first step, where the rows tell: the workers have to wake up."""

    @property
    def per_second(self) -> float:
        """Orders a second from let go to done."""
        return self.orders / self.seconds

    def __str__(self) -> str:
        return f"{self.orders} orders in {self.seconds:.1f} s, {self.per_second:,.0f} a second"


def ours(stand: Stand, conn: Connection, up: Mapping[str, psutil.Process], count: int, provider: str) -> Drained:
    """Drain *count* orders by the product's workers *up*. Raises Invalid or StopAsked."""
    with gate.closed(up.values()):
        backlog.lay_out(stand, conn, count, provider)
        meter, began = Meter({**up, **stand.servers}), database.clock(conn)
    _until(lambda: database.left(conn) == 0, count)
    usage = meter.used()
    told = conn.execute("""
        SELECT count(*) FILTER (WHERE state = 'done'),
               (SELECT count(*) FROM payment_attempts WHERE outcome = 'captured'),
               (SELECT max(at) FROM order_events), (SELECT min(at) FROM order_events WHERE event <> 'admitted')
        FROM orders
    """).fetchone()
    assert told is not None, "an aggregate always has a row"
    done, captured, ended, first = told
    if (done, captured) != (count, count):
        raise Invalid(f"of {count} orders {done} are done and {captured} are paid")
    return Drained(count, (ended - began).total_seconds(), usage, (first - began).total_seconds())


def naive(
    stand: Stand,
    conn: Connection,
    up: Mapping[str, psutil.Process],
    count: int,
    provider: str,
    *,
    app: Any,
    results: bool,
) -> Drained:
    """The same by the naive chain; *results*: whether each step keeps its result, as it does unless told otherwise."""
    with gate.closed(up.values()):
        conn.execute(sql.SQL("TRUNCATE {}, {}").format(_NAIVE, sql.Identifier(naive_rows.SCHEMA, "naive_payments")))
        numbers = conn.execute(_LAY_OUT, [TENANT_ID, stand.offer, provider, count]).fetchall()
        conn.execute("ANALYZE")
        for (number,) in numbers:
            signals.check()
            naive_tasks.ring(app, number, results=results)
        meter, began = Meter({**up, **stand.servers}), database.clock(conn)
    query = sql.SQL("SELECT count(*) FROM {} WHERE state <> 'done'").format(_NAIVE)
    _until(lambda: database.value(conn, query) == 0, count)
    ended = database.value(conn, sql.SQL("SELECT max(finished_at) FROM {}").format(_NAIVE))
    return Drained(count, (ended - began).total_seconds(), meter.used())


def rates(several: Sequence[Drained]) -> list[float]:
    """Orders a second, drain by drain."""
    return [one.per_second for one in several]


def details(several: Sequence[Drained]) -> list[dict[str, Any]]:
    """Processor time an order by process, and what strangers took."""
    return [
        {
            "seconds": one.seconds,
            "firstMoveS": one.first_move_s,
            "cpuMsPerOrder": one.usage.per(one.orders),
            "coresOfStrangers": one.usage.strangers,
        }
        for one in several
    ]


def _until(is_over: Callable[[], bool], count: int) -> None:
    patience_s = max(LEAST_S, count / SLOWEST_PER_S)
    ends_at = time.monotonic() + patience_s
    while not is_over():
        signals.check()
        if time.monotonic() > ends_at:
            raise Invalid(f"{count} orders were not done within {patience_s:.0f} s")
        time.sleep(LOOK_EVERY_S)
