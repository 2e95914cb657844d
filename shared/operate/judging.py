"""What may be done with an order now, and if not, why not? Judged from its rows alone, by the same code before an
action is offered and when it is taken, there under the order's lock.

Unknown is never failed: while nobody knows whether a PSP holds money, nothing that would take the question for answered
is allowed.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from shared.domain.states import OrderState
from shared.operate.case import Case
from shared.operate.provable import why_nothing
from shared.store.attempts import NOT_FOUND, AttemptState
from shared.store.orders import Order

S = OrderState
A = AttemptState


class Action(StrEnum):
    """What an operator may do with an order."""

    RETRY = "retry"
    UNPARK = "unpark"
    CANCEL = "cancel"
    REFUND = "refund"
    PROVE = "prove"


def why_not(case: Case, action: Action) -> str | None:
    """Why *action* may not be done now; None if it may."""
    match action:
        case Action.RETRY:
            return _no_retry(case)
        case Action.UNPARK:
            return _no_unpark(case)
        case Action.CANCEL:
            return _no_cancel(case)
        case Action.REFUND:
            return _no_refund(case)
        case Action.PROVE:
            return _in_hand(case.order) or why_nothing(case)


def allowed(case: Case) -> Mapping[Action, str | None]:
    """Every action, with why it may not be done now, or None if it may."""
    return {action: why_not(case, action) for action in Action}


def _no_retry(case: Case) -> str | None:
    if case.order.is_finished:
        is_returning = case.one(A.RETURNING) is not None or case.under_way is not None
        return None if is_returning else "it has ended and no money is on its way: there is nothing left to do"
    return _in_hand(case.order)


def _no_unpark(case: Case) -> str | None:
    if case.order.is_finished:
        return _ended(case.order)
    return _in_hand(case.order) if case.order.parked else "it is not parked"


def _no_cancel(case: Case) -> str | None:
    order = case.order
    if order.is_finished:
        return _ended(order)
    if order.state is S.PAYING and order.is_leased:
        return _in_hand(order)
    out = case.one(A.OPEN)
    if out is not None or order.state is S.PAYING:
        where = out.provider if out is not None else "its PSP"
        return f"nobody knows yet whether {where} took the money: retry asks now, then cancel"
    if order.state is S.OFFER_LOCKED:
        return _unproven(case)
    held = case.one(A.CHALLENGED, A.PENDING, A.CAPTURED)
    if held is None and case.one(A.RETURNING) is not None:
        return "it is being cancelled already: its money is on its way back (retry asks the PSP now)"
    if held is not None and held.provider not in case.abilities:
        return _unread(held.provider)
    return None


def _no_refund(case: Case) -> str | None:
    if case.order.state is not S.DONE:
        failed = case.order.state is S.FAILED
        return (
            "it failed: whatever was taken goes back by itself" if failed else "it is not done yet: cancel it instead"
        )
    if case.under_way is not None:
        one = case.under_way
        return f"a refund of {one.amount_minor} {one.currency} is under way: one at a time (retry asks for it now)"
    if case.captured is None:
        return "it cost nothing"
    if case.captured.provider not in case.abilities:
        return _unread(case.captured.provider)
    return None if case.left_minor else "all of it went back already"


def _unproven(case: Case) -> str | None:
    """Of an order that waits to be paid: where "no such charge" was no proof, the charge may still turn up.

    As the payment step reckons (workers/plan.py): once the PSP keeps the key no longer, it never was.
    """
    for one in case.attempts:
        if one.outcome is not A.ABSENT or one.reason != NOT_FOUND:
            continue
        can = case.abilities.get(one.provider)
        if can is None:
            return _unread(one.provider)
        if not can.proves_absence and case.order.seen_at - one.started_at <= can.key_lifetime:
            return f"{one.provider} may still come to know a charge of it: it is asked for again under the same key"
    return None


def _in_hand(order: Order) -> str | None:
    if not order.is_leased or order.lease_until is None:
        return None
    return f"a worker is at it until {order.lease_until:%H:%M:%S}: see what it comes to, then ask again"


def _ended(order: Order) -> str:
    return "it is done: its money can be refunded" if order.state is S.DONE else "it has failed: nothing is left to end"


def _unread(provider: str) -> str:
    return f"the account at {provider} cannot be read: `c2a psps check {provider}` says why"
