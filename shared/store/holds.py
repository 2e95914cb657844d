"""Gives a single-use offer to one order: the hold and the order's move are one statement.

The order's row is locked while the hold is written, so an order that was cancelled meanwhile leaves no hold, and
of two orders that reach for one offer the second waits, sees whose it is and does not move.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, bindparam, exists, select, true
from sqlalchemy.dialects.postgresql import insert

from shared.domain.money import Money
from shared.domain.states import OrderEvent, OrderState
from shared.store import moves
from shared.store import orders as order_store
from shared.store.direct import At
from shared.store.moves import Hop
from shared.store.orders import Order
from shared.store.tables import offer_holds, orders


def hold(at: At, order: Order, *, single_use: bool, price: Money, due_in: timedelta) -> Order | None:
    """Hold the offer of an admitted *order* at *price*; None if another order has it, or this one moved on."""
    return moves.move(
        _HOLDING[single_use],
        at,
        order,
        actor="lock_offer",
        due_in=due_in,
        given=values_of(price),
    )


def values_of(price: Money) -> dict[str, Any]:
    """The values of PRICED."""
    return {"to_amount_minor": price.amount_minor, "to_currency": price.currency}


def _held_by() -> ColumnElement[bool]:
    mine = (
        select(orders.c.tenant_id, orders.c.offer_identifier, orders.c.tracking_number)
        .where(order_store.OF_TENANT, orders.c.state == bindparam("from_state"))
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
    return exists(select(held.c.tracking_number).where(held.c.tracking_number == bindparam("number")))


HELD: Final = Hop(OrderEvent.OFFER_HELD, OrderState.OFFER_LOCKED, actor="lock_offer", is_of_attempt=False)
IF_HELD: Final[Mapping[bool, ColumnElement[bool]]] = {False: true(), True: _held_by()}
"""What must hold, by whether the offer may be ordered once only."""
PRICED: Final = {name: bindparam(f"to_{name}", type_=orders.c[name].type) for name in ("amount_minor", "currency")}
"""What is written of the `price`."""
_HOLDING: Final = {
    single_use: moves.moving(HELD, only_if=IF_HELD[single_use], sets=PRICED) for single_use in (False, True)
}
