"""Takes an admitted order straight to its payment: two steps of which the first shares the second's commit.

For a worker that serves both queues. What there is to know of the order, its offer and its tenant's PSPs is read in one
round trip; the offer is held, the lease claimed and the attempt written ahead by one statement. The row tells it as two
moves, and a worker that dies leaves what one of the two steps would have left. Whatever is not plain (an order that was
begun before, an offer that another order holds, nobody to ask) is left to the steps themselves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from shared.domain.money import Money
from shared.domain.states import OrderState
from shared.failpoints import Failpoint, reach
from shared.key_service import KeysAway
from shared.patience import STEP_PATIENCE
from shared.psp.traffic.lane import Later
from shared.psp.traffic.turns import AWAY
from shared.store import holds, leases, offers
from shared.store.orders import Order
from shared.vault import VaultAway
from workers.lock_offer import cart_of, lock_offer
from workers.pay import in_turn, pay, stand_in_row
from workers.plan import Plan, PspSilent, plan
from workers.runtime import Runtime
from workers.sight import Sight, order_offer_and_accounts


def lock_and_pay(run: Runtime, tracking_number: str, *, ends: bool) -> bool:
    """Hold the offer of an order and take its payment; True if it is captured and its method is to be stored next.

    *ends*: an order that stores no method is ended with its capture.
    """
    ready = _ready(run, tracking_number)
    planned = None if ready is None else _planned(run, ready)
    if ready is None or planned is None:
        return _step_by_step(run, tracking_number, ends=ends)
    state = in_turn(run, ready.order, planned, ready.claim, ends=ends)
    if isinstance(state, Later):
        return _later(run, ready, planned, state, ends=ends)
    if state is None:
        return _step_by_step(run, tracking_number, ends=ends)
    if state is OrderState.OFFER_LOCKED:  # Its PSP took nothing; another may.
        return pay(run, tracking_number, ends=ends, asked_now=frozenset({planned.account.provider}))
    return state is OrderState.CAPTURED


@dataclass(frozen=True, slots=True)
class _Ready:
    """An admitted order that nobody has worked on, with its price."""

    sight: Sight
    single_use: bool
    price: Money

    @property
    def order(self) -> Order:
        """The order as its payment will find it, but for its state."""
        return self.sight.order

    def claim(self, run: Runtime, order: Order, planned: Plan) -> Order | None:
        """Hold its offer and claim it for *planned*."""
        reach(Failpoint.STRAIGHT_BEFORE_CLAIM)
        claimed = leases.hold_and_claim(
            run.engine,
            order,
            planned.attempt,
            single_use=self.single_use,
            price=self.price,
            owner=run.owner,
            terms=run.lease,
            route=planned.route.document() if planned.route else None,
        )
        reach(Failpoint.STRAIGHT_AFTER_CLAIM)
        return claimed


def _ready(run: Runtime, tracking_number: str) -> _Ready | None:
    seen = order_offer_and_accounts(run.engine, tracking_number)
    if seen is None:
        return None
    sight, told = seen
    order = sight.order
    if order.state is not OrderState.ADMITTED or order.is_overdue or order.rings or order.parked:
        return None
    offer = offers.offer_of(told)
    price = offer.price(cart_of(order), order.request["order"].get("installmentIdentifier"))
    if not price.amount_minor:
        return None
    priced = replace(order, amount_minor=price.amount_minor, currency=price.currency)
    return _Ready(replace(sight, order=priced), offer.single_use, price)


def _planned(run: Runtime, ready: _Ready) -> Plan | None:
    try:
        planned = plan(run, ready.sight, asked_now=())
    except (VaultAway, KeysAway, PspSilent):
        return None
    return planned if isinstance(planned, Plan) and planned.has_instrument else None


def _later(run: Runtime, ready: _Ready, planned: Plan, turn: Later, *, ends: bool) -> bool:
    """Hold the offer and stand in the row of the PSP, where the order has its place already."""
    reach(Failpoint.STRAIGHT_BEFORE_HOLD)
    held = holds.hold(run.engine, ready.order, single_use=ready.single_use, price=ready.price, due_in=STEP_PATIENCE)
    reach(Failpoint.STRAIGHT_AFTER_HOLD)
    if held is None:
        return lock_offer(run, ready.order.tracking_number)
    stand_in_row(run, held, planned.account.provider, turn)
    if turn.why != AWAY:
        return False
    asked = frozenset({planned.account.provider})
    return pay(run, held.tracking_number, ends=ends, asked_now=asked, stands=True)


def _step_by_step(run: Runtime, tracking_number: str, *, ends: bool) -> bool:
    return lock_offer(run, tracking_number) and pay(run, tracking_number, ends=ends)
