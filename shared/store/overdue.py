"""Finds what is overdue: orders whose next step never came, and money that waits to be returned.

Each state is asked for by itself, so that a backlog of one never hides the others. A row that is rung for is put off
in the same statement, longer each time, so that two rescuers never ring for one order (SKIP LOCKED).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from uuid import UUID

from sqlalchemy import ARRAY, Connection, Text, Uuid, bindparam, text

from shared.domain.states import OrderEvent, OrderState

FIRST_PAUSE_S: Final = 10
LONGEST_PAUSE_S: Final = 60
"""An order is rung for again after 10, 20, 40 and then every 60 s: a lost message costs at most a minute."""
MEASURED_S: Final = 30
"""Over how long moves are counted: long enough to be steady, short enough to see that a queue stands still."""

_DUE: Final = text("""
    SELECT state, count(*) AS due FROM orders
    WHERE state = ANY (:live) AND due_at <= now() GROUP BY state
""").bindparams(bindparam("live", type_=ARRAY(Text)))

# An order that was claimed once and could not be paid (its PSP took nothing) waits for its own time, not for a message:
# counted with the others, an outage would look like a queue that lost its messages, and be rung for as such.
_WAITING: Final = text("""
    SELECT count(*) FROM orders
    WHERE state = :state AND due_at IS NOT NULL AND (state <> 'offer_locked' OR fence = 0)
""")

_MOVES: Final = text("""
    SELECT count(*) FROM order_events
    WHERE at > now() - make_interval(secs => :measured) AND event = ANY (:events)
""").bindparams(bindparam("events", type_=ARRAY(Text)))

_PUT_OFF: Final = text("""
    UPDATE orders
    SET rings = rings + 1,
        due_at = now() + make_interval(secs => least(:longest, :first * power(2, least(rings, 10))))
    WHERE (tracking_number, tenant_id) IN (
        SELECT tracking_number, tenant_id FROM orders
        WHERE state = :state AND due_at <= now() - make_interval(secs => :late)
        ORDER BY due_at LIMIT :limit FOR UPDATE SKIP LOCKED)
    RETURNING tracking_number, crashes
""")

_MAKE_DUE: Final = text("""
    UPDATE orders SET due_at = now()
    WHERE (tracking_number, tenant_id) IN (
        SELECT tracking_number, tenant_id
        FROM orders JOIN payment_attempts AS attempt USING (tracking_number, tenant_id)
        WHERE tenant_id = :tenant AND attempt.provider = :provider AND orders.due_at > now()
          AND (state, attempt.outcome) IN (('confirming', 'open'), ('offer_locked', 'absent'))
        ORDER BY orders.due_at LIMIT :limit FOR UPDATE OF orders SKIP LOCKED)
    RETURNING tracking_number
""").bindparams(bindparam("tenant", type_=Uuid))

_RETURNS: Final = text("""
    UPDATE payment_attempts SET due_at = now() + make_interval(secs => :longest)
    WHERE (tenant_id, tracking_number, attempt_no) IN (
        SELECT tenant_id, tracking_number, attempt_no FROM payment_attempts
        WHERE outcome = 'returning' AND due_at <= now() ORDER BY due_at LIMIT :limit FOR UPDATE SKIP LOCKED)
    RETURNING tracking_number
""")


def due(conn: Connection) -> dict[OrderState, int]:
    """How many orders are due in each state; states without any are left out."""
    live = [state.value for state in OrderState]
    return {OrderState(row.state): row.due for row in conn.execute(_DUE, {"live": live})}


def waiting(conn: Connection, state: OrderState) -> int:
    """How many orders in the live *state* wait for a message, due or not."""
    return int(conn.execute(_WAITING, {"state": state}).scalar_one())


def moves_per_s(conn: Connection, events: Iterable[OrderEvent]) -> float:
    """How often a second any of *events* happened of late."""
    counted = conn.execute(_MOVES, {"measured": MEASURED_S, "events": [event.value for event in events]})
    return float(counted.scalar_one()) / MEASURED_S


def put_off(conn: Connection, state: OrderState, *, limit: int, late_s: float = 0.0) -> dict[str, int]:
    """At most *limit* orders that have been due in *state* for *late_s*, each put off until its ring had its chance;
    and how many takeovers each has behind it."""
    values = {"state": state, "limit": limit, "late": late_s, "first": FIRST_PAUSE_S, "longest": LONGEST_PAUSE_S}
    return {row.tracking_number: row.crashes for row in conn.execute(_PUT_OFF, values)}


def make_due(conn: Connection, tenant_id: UUID, provider: str, *, limit: int) -> int:
    """Make at most *limit* orders due now that wait for an answer of this PSP, or for it to take their payment at all;
    how many they were. A payment that is pending, or a shopper's challenge, waits for somebody else."""
    values = {"tenant": tenant_id, "provider": provider, "limit": limit}
    return len(conn.execute(_MAKE_DUE, values).scalars().all())


def returns_overdue(conn: Connection, *, limit: int) -> list[str]:
    """At most *limit* orders that have money to return now, put off until the PSP had its chance."""
    return list(conn.execute(_RETURNS, {"limit": limit, "longest": LONGEST_PAUSE_S}).scalars())
