"""Finds what is overdue: orders whose next step never came, and money that waits to be returned.

Each row found is put off in the same statement, longer each time, so that a slow queue is not rung into a flood
and two rescuers never ring for one order (SKIP LOCKED).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

from shared.domain.states import OrderState

BATCH: Final = 500
"""Rows a look: two seconds' work for the fastest engine room; the rest is found by the next look."""
FIRST_PAUSE_S: Final = 10
LONGEST_PAUSE_S: Final = 60
"""An order is rung for again after 10, 20, 40 and then every 60 s: a lost message costs at most a minute."""

_ORDERS: Final = text("""
    UPDATE orders
    SET rings = rings + 1,
        due_at = now() + make_interval(secs => least(:longest, :first * power(2, least(rings, 10))))
    WHERE (tracking_number, tenant_id) IN (
        SELECT tracking_number, tenant_id FROM orders
        WHERE due_at <= now() ORDER BY due_at LIMIT :batch FOR UPDATE SKIP LOCKED)
    RETURNING tracking_number, state
""")

_RETURNS: Final = text("""
    UPDATE payment_attempts SET due_at = now() + make_interval(secs => :longest)
    WHERE (tenant_id, tracking_number, attempt_no) IN (
        SELECT tenant_id, tracking_number, attempt_no FROM payment_attempts
        WHERE outcome = 'returning' AND due_at <= now() LIMIT :batch FOR UPDATE SKIP LOCKED)
    RETURNING tracking_number
""")


@dataclass(frozen=True, slots=True)
class Overdue:
    """One order somebody must look at now."""

    tracking_number: str
    state: OrderState


def orders_overdue(conn: Connection) -> list[Overdue]:
    """The orders that are overdue, each put off until its ring has had its chance."""
    rows = conn.execute(_ORDERS, {"batch": BATCH, "first": FIRST_PAUSE_S, "longest": LONGEST_PAUSE_S})
    return [Overdue(row.tracking_number, OrderState(row.state)) for row in rows]


def returns_overdue(conn: Connection) -> list[str]:
    """The orders that have money to return now."""
    rows = conn.execute(_RETURNS, {"batch": BATCH, "longest": LONGEST_PAUSE_S})
    return [row.tracking_number for row in rows]
