"""Gives back money that has no right to stay: voided, else refunded, asked for again until the PSP proves it.

Before anything is asked the PSP is looked up: the answer to an earlier void or refund may have got lost, and a PSP
that forgot the key since might give the money back twice. One that cannot be asked is told at once: it keeps its keys,
and never gives back more than it took. Such a one takes a return in hand and tells later what came of it; if nothing
did, it is asked anew, for a void and for a refund in turn.

"No such charge" proves that nothing is held only of what was given up before any money was taken: the PSP let go of it.
Of a capture it is no answer. Whoever asks with the key of another account of that PSP is told so of everything, so the
money stays open, and is asked for again, until the account is put right (the alarm for money that is not back says so).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import structlog

from shared.domain.outcomes import Absent, Captured, Declined, Pending, Returned, ReturnOutcome, Unanswered
from shared.failpoints import Failpoint, reach
from shared.logs import about
from shared.patience import RETURN_AGAIN, TAKEN_LOOK
from shared.psp.port import Psp
from shared.settle import News, settle
from shared.store import attempts, orders, returning
from shared.store.attempts import Attempt, AttemptState
from shared.store.engine import statements
from workers.give_refund import give_refunds
from workers.runtime import Runtime

log = structlog.get_logger(__name__)

NO_PROOF: Final = Unanswered("a charge whose money was taken is said not to be there")


def return_money(run: Runtime, tracking_number: str) -> None:
    """Return every charge of an order that is marked to be returned, and what an operator refunds of it."""
    with statements(run.engine) as conn:
        order = orders.get(conn, tracking_number)
        every = attempts.of_order(conn, order.tenant_id, tracking_number) if order is not None else []
    for attempt in every:
        if attempt.outcome is AttemptState.RETURNING:
            about(attempt.tenant_id)
            _return(run, attempt)
    if order is not None and order.is_finished:
        give_refunds(run, order)


def _return(run: Runtime, attempt: Attempt) -> None:
    reach(Failpoint.RETURN_BEFORE_CALL)
    outcome = _ask(run, attempt)
    reach(Failpoint.RETURN_AFTER_CALL)
    now = None
    with run.engine.begin() as conn:
        match outcome:
            case Returned() | Absent():
                now = settle(conn, News(attempt, outcome, actor="return_money"), run.terms)
            case Pending():
                returning.put_off_return(conn, attempt, due_in=TAKEN_LOOK, taken=True)
            case _:
                place = outcome.retry_after if isinstance(outcome, Unanswered) else None
                returning.put_off_return(conn, attempt, due_in=place or RETURN_AGAIN)
        reach(Failpoint.RETURN_BEFORE_COMMIT)
    reach(Failpoint.RETURN_AFTER_COMMIT)
    if now is not None:
        run.forget_spent_card(now)
    log.info("payment.return", tracking_number=attempt.tracking_number, outcome=type(outcome).__name__)


def _ask(run: Runtime, attempt: Attempt) -> ReturnOutcome | Absent:
    psp = run.psp_for(run.account_at(attempt.tenant_id, attempt.provider))
    assert attempt.psp_reference is not None, "a capture is told with its reference"
    if psp.capabilities.looks_up:
        known = psp.look_up(attempt.query)
        if isinstance(known, Returned | Unanswered):
            return known
        if isinstance(known, Declined):
            return Returned(attempt.psp_reference, refunded=False)  # It holds nothing, and never did.
        if isinstance(known, Absent):
            return known if attempt.is_untaken else NO_PROOF
    if attempt.refusals % 2:
        return _refund(psp, attempt, attempt.psp_reference)
    voided = psp.void(attempt.psp_reference, psp_key=attempt.return_key("void"))
    if isinstance(voided, Captured):
        return _refund(psp, attempt, attempt.psp_reference)
    return _by(voided, refunded=False)


def _refund(psp: Psp, attempt: Attempt, reference: str) -> ReturnOutcome:
    """For what it is too late to void."""
    reach(Failpoint.RETURN_BEFORE_REFUND)
    refunded = psp.refund(reference, attempt.money, psp_key=attempt.return_key("refund"))
    return _by(refunded, refunded=True)


def _by(outcome: ReturnOutcome, *, refunded: bool) -> ReturnOutcome:
    """*outcome* of the verb that was asked for; its PSP may have found that it went back in another way before."""
    if isinstance(outcome, Returned) and outcome.refunded is None:
        return replace(outcome, refunded=refunded)
    return outcome
