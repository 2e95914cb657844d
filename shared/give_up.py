"""Gives up a payment that is not to become money any more: its time is over, or its order was paid or ended without it.

Like settling (settle.py) it is judged under the order's row lock, and it is committed before the PSP is told, so that
whatever the PSP captures from then on has no right to stay.
"""

from __future__ import annotations

from sqlalchemy import Connection

from shared.domain.outcomes import (
    Challenged,
    DeclineReason,
    Pending,
)
from shared.domain.states import PAID_OR_ENDED, OrderEvent, OrderState
from shared.patience import (
    FIRST_LOOK,
)
from shared.store import attempts as attempt_store
from shared.store import moves
from shared.store import orders as order_store
from shared.store.attempts import NEVER_TAKEN, UNSETTLED, Attempt, AttemptState
from shared.store.orders import Order


def abandon(conn: Connection, seen: Order, attempt: Attempt, *, provable: bool = True) -> Order | None:
    """Give up a payment whose time is over; the order then, None if anything moved since *seen* was read.

    Committed before the PSP is told to cancel, so that whatever it captures from now on has no right to stay. Where it
    can prove that it holds nothing (*provable*), the order waits for that. Where it cannot be asked, the order ends
    here: a charge that has a name is asked back, and one that turns up later has no right to stay, either.
    """
    order = order_store.lock(conn, seen.tenant_id, seen.tracking_number)
    assert order is not None, "an attempt has an order"
    every = attempt_store.of_order(conn, order.tenant_id, order.tracking_number)
    now = next(one for one in every if one.attempt_no == attempt.attempt_no)
    if order.fence != seen.fence or not time_is_over(order, now):
        return None
    if not provable:
        return _given_up(conn, order, now)
    attempt_store.settle(conn, now, AttemptState.RETURNING, reason=NEVER_TAKEN)
    if order.state is not OrderState.CHALLENGE:
        return order
    return moves.advance(
        conn, order, OrderEvent.PAYMENT_UNANSWERED, actor="look_up", due_in=FIRST_LOOK, attempt_no=now.attempt_no
    )


def _given_up(conn: Connection, order: Order, attempt: Attempt) -> Order | None:
    is_named = attempt.psp_reference is not None
    outcome = AttemptState.RETURNING if is_named else AttemptState.DECLINED
    attempt_store.settle(conn, attempt, outcome, reason=NEVER_TAKEN if is_named else DeclineReason.SHOPPER_CANCELLED)
    failure = "CANCELLED" if order.is_pending else "CHALLENGE_EXPIRED"
    event = OrderEvent.CHALLENGE_EXPIRED
    return moves.advance(conn, order, event, actor="look_up", attempt_no=attempt.attempt_no, failure=failure)


def time_is_over(order: Order, attempt: Attempt) -> bool:
    """Whether whoever *attempt* waits for had their time: the shopper at a challenge, the PSP at what is pending."""
    match attempt.outcome:
        case AttemptState.CHALLENGED:
            return order.state is OrderState.CONFIRMING or (order.state is OrderState.CHALLENGE and order.is_overdue)
        case AttemptState.PENDING:
            return order.is_pending and order.is_overdue
        case _:
            return False


def let_go(conn: Connection, attempt: Attempt, outcome: Challenged | Pending) -> None:
    """Give up what may become money of an order that was paid or ended without it; nothing if anybody settled it
    meanwhile."""
    order = order_store.lock(conn, attempt.tenant_id, attempt.tracking_number)
    assert order is not None, "an attempt has an order"
    every = attempt_store.of_order(conn, order.tenant_id, order.tracking_number)
    now = next(one for one in every if one.attempt_no == attempt.attempt_no)
    if now.outcome in UNSETTLED and order.state in PAID_OR_ENDED:
        # Without a name it cannot be asked back: what it still brings is told then, and has no right to stay.
        is_named = outcome.reference is not None
        given_up = AttemptState.RETURNING if is_named else AttemptState.DECLINED
        reason = NEVER_TAKEN if is_named else None
        attempt_store.settle(conn, now, given_up, reference=outcome.reference, reason=reason)
