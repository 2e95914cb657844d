"""Finds what is overdue: orders whose next step never came, and money that waits to be returned.

Each state is asked for by itself, so that a backlog of one never hides the others; and so are, of those that may be
paid, the ones that wait for a message and the ones that stand in the row of a PSP. A row that is rung for is put off in
the same statement, longer each time, so that two rescuers never ring for one order (SKIP LOCKED).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import ARRAY, Connection, Interval, Text, Uuid, bindparam, text

from shared.domain.states import OrderEvent, OrderState

FIRST_PAUSE_S: Final = 10
LONGEST_PAUSE_S: Final = 60
"""An order is rung for again after 10, 20, 40 and then every 60 s: a lost message costs at most a minute."""
MEASURED_S: Final = 30
"""Over how long moves are counted: long enough to be steady, short enough to see that a queue stands still."""

_DUE: Final = text("""
    SELECT state, state = 'offer_locked' AND waits_for IS NOT NULL AS in_row, count(*) AS due FROM orders
    WHERE state = ANY (:live) AND due_at <= now() GROUP BY 1, 2
""").bindparams(bindparam("live", type_=ARRAY(Text)))

# An order that stands in a PSP's row waits for its own time, not for a message: counted with the others, an outage
# would look like a queue that lost its messages, and be rung for as such.
_WAITING: Final = text("""
    SELECT count(*) FROM orders
    WHERE state = :state AND due_at IS NOT NULL AND (state <> 'offer_locked' OR waits_for IS NULL)
""")

_MOVES: Final = text("""
    SELECT count(*) FROM order_events
    WHERE at > now() - make_interval(secs => :measured) AND event = ANY (:events)
""").bindparams(bindparam("events", type_=ARRAY(Text)))

# As a list, the numbers are looked for by the primary key; joined, they may be looked for by reading all orders. The
# least and the greatest say in which partitions.
_THOSE: Final = """
    orders.tracking_number = ANY (ARRAY(SELECT tracking_number FROM {these}))
    AND orders.tracking_number >= (SELECT min(tracking_number) FROM {these})
    AND orders.tracking_number <= (SELECT max(tracking_number) FROM {these})
    AND orders.tracking_number = {these}.tracking_number AND orders.tenant_id = {these}.tenant_id
"""

_PUT_OFF: Final = text(f"""
    WITH late AS MATERIALIZED (
        SELECT tracking_number, tenant_id FROM orders
        WHERE state = :state AND due_at <= now() - make_interval(secs => :late)
          AND (state <> 'offer_locked' OR (waits_for IS NOT NULL) = :in_row)
        ORDER BY due_at LIMIT :limit FOR UPDATE SKIP LOCKED)
    UPDATE orders
    SET rings = rings + 1,
        due_at = now() + make_interval(secs => least(:longest, :first * power(2, least(rings, 10))))
    FROM late WHERE {_THOSE.format(these="late")}
    RETURNING orders.tracking_number, orders.tenant_id, crashes
""")  # noqa: S608 - our own text; every value is bound

# Money in doubt first, then payments in the order of their places; nobody is made to wait longer than before.
_MOVE_UP: Final = text(f"""
    WITH waiter AS MATERIALIZED (
        SELECT tracking_number, tenant_id, state, due_at FROM orders
        WHERE tenant_id = :tenant AND due_at > now() AND (
            state IN ('offer_locked', 'paying') AND waits_for = :provider
            OR state = 'confirming' AND EXISTS (
                SELECT FROM payment_attempts AS attempt
                WHERE attempt.tenant_id = orders.tenant_id AND attempt.tracking_number = orders.tracking_number
                  AND attempt.provider = :provider AND attempt.outcome = 'open'))
        ORDER BY state = 'offer_locked', due_at LIMIT :limit FOR UPDATE SKIP LOCKED),
    placed AS (
        SELECT *, row_number() OVER (ORDER BY state = 'offer_locked', due_at) - 1 AS place FROM waiter)
    UPDATE orders SET due_at = least(orders.due_at, now() + placed.place * CAST(:apart AS interval))
    FROM placed WHERE {_THOSE.format(these="placed")}
    RETURNING orders.tracking_number
""").bindparams(  # noqa: S608 - our own text; every value is bound
    bindparam("tenant", type_=Uuid), bindparam("apart", type_=Interval)
)

_RETURNS: Final = text("""
    UPDATE payment_attempts SET due_at = now() + make_interval(secs => :longest)
    WHERE (tenant_id, tracking_number, attempt_no) IN (
        SELECT tenant_id, tracking_number, attempt_no FROM payment_attempts
        WHERE outcome = 'returning' AND due_at <= now() ORDER BY due_at LIMIT :limit FOR UPDATE SKIP LOCKED)
    RETURNING tracking_number
""")


@dataclass(frozen=True, slots=True)
class Due:
    """Orders of one kind that are due: their state, and whether they stood in a PSP's row."""

    state: OrderState
    in_row: bool
    count: int


@dataclass(frozen=True, slots=True)
class Late:
    """Whose an order is that is rung for now, and how many takeovers it has behind it."""

    tenant_id: UUID
    takeovers: int


def due(conn: Connection) -> list[Due]:
    """How many orders are due, kind by kind; kinds without any are left out."""
    live = [state.value for state in OrderState]
    return [Due(OrderState(row.state), row.in_row, row.due) for row in conn.execute(_DUE, {"live": live})]


def waiting(conn: Connection, state: OrderState) -> int:
    """How many orders in the live *state* wait for a message, due or not."""
    return int(conn.execute(_WAITING, {"state": state}).scalar_one())


def moves_per_s(conn: Connection, events: Iterable[OrderEvent]) -> float:
    """How often a second any of *events* happened of late."""
    counted = conn.execute(_MOVES, {"measured": MEASURED_S, "events": [event.value for event in events]})
    return float(counted.scalar_one()) / MEASURED_S


def put_off(
    conn: Connection, state: OrderState, *, limit: int, late_s: float = 0.0, in_row: bool = False
) -> dict[str, Late]:
    """At most *limit* orders that have been due in *state* for *late_s*, by number, each put off until its ring had its
    chance.

    *in_row*: of those that may be paid, the ones that stood in a PSP's row, or the others.
    """
    values = {"state": state, "limit": limit, "late": late_s, "in_row": in_row}
    rung = conn.execute(_PUT_OFF, values | {"first": FIRST_PAUSE_S, "longest": LONGEST_PAUSE_S})
    return {row.tracking_number: Late(row.tenant_id, row.crashes) for row in rung}


def move_up(conn: Connection, tenant_id: UUID, provider: str, *, apart: timedelta, limit: int) -> int:
    """Make at most *limit* orders due from now on, *apart* from each other, that wait for an answer of this PSP or for
    it to take their payment at all; how many they were. A payment that is pending, or a shopper's challenge, waits for
    somebody else."""
    values = {"tenant": tenant_id, "provider": provider, "apart": apart, "limit": limit}
    return len(conn.execute(_MOVE_UP, values).scalars().all())


def returns_overdue(conn: Connection, *, limit: int) -> list[str]:
    """At most *limit* orders that have money to return now, put off until the PSP had its chance."""
    return list(conn.execute(_RETURNS, {"limit": limit, "longest": LONGEST_PAUSE_S}).scalars())
