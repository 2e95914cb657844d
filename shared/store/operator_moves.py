"""What an operator may write to rows beside the moves of an order: when somebody looks again, and that it is parked no
more. Nothing of it is money or a state."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, func, update

from shared.store.attempts import AttemptState
from shared.store.orders import Order
from shared.store.tables import orders, payment_attempts


def due_now(conn: Connection, order: Order) -> None:
    """Have somebody look at *order* now; its row is locked. Nobody rang, so no worker is suspected of anything."""
    conn.execute(update(orders).where(*_is(order), orders.c.finished_at.is_(None)).values(due_at=func.now()))


def returns_due_now(conn: Connection, order: Order) -> None:
    """Have the money of *order* that is on its way back be asked for now."""
    conn.execute(
        update(payment_attempts)
        .where(
            payment_attempts.c.tenant_id == order.tenant_id,
            payment_attempts.c.tracking_number == order.tracking_number,
            payment_attempts.c.outcome == AttemptState.RETURNING,
        )
        .values(due_at=func.now())
    )


def unpark(conn: Connection, order: Order) -> None:
    """Let workers take *order* again, as if none had died over it; its row is locked."""
    conn.execute(
        update(orders)
        .where(*_is(order), orders.c.finished_at.is_(None))
        .values(parked=False, crashes=0, rings=0, due_at=func.now())
    )


def _is(order: Order) -> list[Any]:
    return [orders.c.tracking_number == order.tracking_number, orders.c.tenant_id == order.tenant_id]
