"""Holds the offer of an admitted order and fixes the amount it will be charged.

The amount is computed from the offer's snapshot, never from the request. A single-use offer is held by one
order, first come; the hold has no clock and ends only when its order failed. Freshness was judged at admission:
a backlog does not expire an accepted order, but after its patience (an hour) it fails rather than surprise a
shopper with a charge. One that takes five workers down is cancelled.
"""

from __future__ import annotations

import structlog

from shared.domain.offers import CartLine
from shared.domain.states import OrderEvent, OrderState
from shared.failpoints import Failpoint, reach
from shared.patience import STEP_PATIENCE
from shared.store import holds, moves, offers
from shared.store.orders import Order
from workers.runtime import Runtime
from workers.sight import order_and_offer
from workers.suspicion import begun

log = structlog.get_logger(__name__)


def lock_offer(run: Runtime, tracking_number: str) -> bool:
    """Hold the offer of an order; True if the order is to be paid next."""
    seen = order_and_offer(run.engine, tracking_number)
    if seen is None:
        return False
    order: Order | None
    order, told = seen
    if order.state is not OrderState.ADMITTED:
        return order.state is OrderState.OFFER_LOCKED
    if order.is_overdue:
        return _refuse(run, order, "OFFER_EXPIRED")
    order = begun(run.engine, order)
    if order is None:
        return False
    if order.parked:
        return _refuse(run, order, "CANCELLED", event=OrderEvent.CANCELLED)
    offer = offers.offer_of(told)
    price = offer.price(cart_of(order), order.request["order"].get("installmentIdentifier"))
    reach(Failpoint.LOCK_BEFORE_STATEMENT)
    if holds.hold(run.engine, order, single_use=offer.single_use, price=price, due_in=STEP_PATIENCE):
        reach(Failpoint.LOCK_AFTER_STATEMENT)
        return True
    return _refuse(run, order, "OFFER_ALREADY_ORDERED")


def cart_of(order: Order) -> list[CartLine]:
    """The cart as it was admitted."""
    return [
        CartLine(item["itemIdentifier"], item.get("parentItemIdentifier"), item["quantity"])
        for item in order.request["order"]["items"]
    ]


def _refuse(run: Runtime, order: Order, failure: str, *, event: OrderEvent = OrderEvent.OFFER_REFUSED) -> bool:
    reach(Failpoint.LOCK_BEFORE_REFUSAL)
    refused = moves.advance(run.engine, order, event, actor="lock_offer", failure=failure)
    reach(Failpoint.LOCK_AFTER_REFUSAL)
    if refused is not None:
        run.forget_spent_card(refused)
        log.info("order.failed", tracking_number=order.tracking_number, failure=failure)
    return False
