"""Ends an order because somebody decided so, by the moves that end orders anyway, and never against an open verdict.

What was never charged fails at once. What may be money already is marked to go back, as an abandoned challenge is
(give_up.py: abandon), and the order fails when its PSP proves that it holds nothing; where the PSP cannot prove it, the
order ends at once and the money is asked back all the same. A shopper who passes their challenge in the last moment,
or a capture that is told late, changes nothing any more: the money has no right to stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection

from shared.domain.outcomes import DeclineReason
from shared.domain.states import OrderEvent, OrderState
from shared.patience import FIRST_LOOK
from shared.store import attempts as attempt_store
from shared.store import moves
from shared.store.attempts import CALLED_OFF, CALLED_OFF_UNTAKEN, Attempt, AttemptState
from shared.store.orders import Order

ACTOR: Final = "operator"
FAILURE: Final = "CANCELLED"
"""What the poller hears (contract section 3)."""
UNPAID: Final = frozenset({OrderState.ADMITTED, OrderState.OFFER_LOCKED})
HOLDS: Final = frozenset({AttemptState.CHALLENGED, AttemptState.PENDING, AttemptState.CAPTURED})
"""Attempts whose money, or the hope of it, is given up; of an open one nobody knows yet what it holds."""


def call_off(conn: Connection, order: Order, every: Sequence[Attempt], *, provable: bool) -> Order:
    """End *order*, whose row is locked and whose verdict is not open; where it stands then.

    *provable*: whether its PSP can be asked, and so prove that it holds nothing.
    """
    if order.state in UNPAID:
        return _moved(conn, order, OrderEvent.CANCELLED)
    held = next((one for one in every if one.outcome in HOLDS), None)
    order = _out_of_its_state(conn, order, held)
    if held is None:
        return _moved(conn, order, OrderEvent.CHALLENGE_EXPIRED)
    is_named = held.psp_reference is not None
    outcome = AttemptState.RETURNING if is_named or provable else AttemptState.DECLINED
    reason = _why(held) if outcome is AttemptState.RETURNING else DeclineReason.SHOPPER_CANCELLED
    attempt_store.settle(conn, held, outcome, reason=reason)
    return order if provable else _moved(conn, order, OrderEvent.CHALLENGE_EXPIRED, held)


def _why(held: Attempt) -> str:
    return CALLED_OFF if held.outcome is AttemptState.CAPTURED else CALLED_OFF_UNTAKEN


def _out_of_its_state(conn: Connection, order: Order, held: Attempt | None) -> Order:
    """*order* where it waits for proof."""
    match order.state:
        case OrderState.CAPTURED:
            return _moved(conn, order, OrderEvent.CALLED_OFF, held)
        case OrderState.CHALLENGE:
            return _moved(conn, order, OrderEvent.PAYMENT_UNANSWERED, held)
        case _:
            return order


def _moved(conn: Connection, order: Order, event: OrderEvent, attempt: Attempt | None = None) -> Order:
    ends = event in (OrderEvent.CANCELLED, OrderEvent.CHALLENGE_EXPIRED)
    moved = moves.advance(
        conn,
        order,
        event,
        actor=ACTOR,
        due_in=None if ends else FIRST_LOOK,
        attempt_no=attempt.attempt_no if attempt else None,
        failure=FAILURE if ends else None,
    )
    assert moved is not None, "the row is locked"
    return moved
