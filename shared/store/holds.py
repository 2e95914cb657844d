"""Gives a single-use offer to one order: the hold and the order's move are one statement.

The order's row is locked while the hold is written, so an order that was cancelled meanwhile leaves no hold, and
of two orders that reach for one offer the second waits, sees whose it is and does not move.
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import ColumnElement, Connection, exists, select, true
from sqlalchemy.dialects.postgresql import insert

from shared.domain.money import Money
from shared.domain.states import OrderEvent
from shared.store import orders as order_store
from shared.store.orders import Order
from shared.store.tables import offer_holds, orders


def hold(conn: Connection, order: Order, *, single_use: bool, price: Money, due_in: timedelta) -> Order | None:
    """Hold the offer of an admitted *order* at *price*; None if another order has it, or this one moved on."""
    return order_store.advance(
        conn,
        order,
        OrderEvent.OFFER_HELD,
        actor="lock_offer",
        due_in=due_in,
        only_if=_held_by(order) if single_use else true(),
        amount_minor=price.amount_minor,
        currency=price.currency,
    )


def _held_by(order: Order) -> ColumnElement[bool]:
    mine = (
        select(orders.c.tenant_id, orders.c.offer_identifier, orders.c.tracking_number)
        .where(
            orders.c.tracking_number == order.tracking_number,
            orders.c.tenant_id == order.tenant_id,
            orders.c.state == order.state,
        )
        .with_for_update()
    )
    taken = insert(offer_holds).from_select(["tenant_id", "offer_identifier", "tracking_number"], mine)
    held = (
        taken.on_conflict_do_update(
            constraint="offer_holds_one_order_per_offer", set_={"held_at": offer_holds.c.held_at}
        )
        .returning(offer_holds.c.tracking_number)
        .cte("held")
    )
    return exists(select(held.c.tracking_number).where(held.c.tracking_number == order.tracking_number))
