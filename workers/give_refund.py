"""Gives back what an operator refunds of a done order: asked for under one key until the PSP proves it.

The refund was written ahead when it was decided (shared/store/refunds.py). A charge that is refunded whole is voided
where that is possible, and its look-up proves it, as for money that has no right to stay (return_money.py). Of a part
no look-up tells, so it rests on the PSP's memory of its key: once that may be over it is not asked for any more, and
somebody has to see at the PSP what became of it (`c2a orders prove`); the doctor says so.

Each call is committed before it is made, so that nobody is believed who saw nothing at the PSP while one is on its way,
and none is made of a refund that was settled meanwhile. A worker that is stopped between the two for longer than a
worker may have a request on its way (Settings.lease_limit_s) and the PSP's longest processing slips through.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import structlog

from shared.domain.outcomes import Captured, Pending, Returned, ReturnOutcome, Unanswered
from shared.failpoints import Failpoint, reach
from shared.patience import TAKEN_LOOK, refund_again
from shared.psp.port import TOTAL_TIMEOUT_S, Psp
from shared.store import attempts, orders, refunds, refunds_told
from shared.store.attempts import Attempt
from shared.store.engine import statements
from shared.store.orders import Order
from shared.store.refunds import Refund
from workers.runtime import Runtime

log = structlog.get_logger(__name__)

STUCK: Final = timedelta(hours=1)
"""How long a refund that must not be asked for again is left alone: nothing but somebody's word ends it."""
MARGIN: Final = timedelta(seconds=2 * TOTAL_TIMEOUT_S)
"""Before its key may be forgotten: the longest call and the wait for its turn."""


def give_refunds(run: Runtime, order: Order) -> None:
    """Ask for the refund of *order* that is under way, if one is and it is due."""
    with statements(run.engine) as conn:
        refund = refunds.under_way(conn, order.tenant_id, order.tracking_number)
        if refund is None:
            return
        every = attempts.of_order(conn, order.tenant_id, order.tracking_number)
    attempt = next(one for one in every if one.attempt_no == refund.attempt_no)
    psp = run.psp_for(run.account_at(attempt.tenant_id, attempt.provider))
    reach(Failpoint.REFUND_BEFORE_CALL)
    known = _looked_up(psp, attempt)
    outcome = _ask(run, psp, order, refund, attempt) if known is None else known
    reach(Failpoint.REFUND_AFTER_CALL)
    if outcome is None:
        log.info("payment.refund_settled_meanwhile", tracking_number=order.tracking_number)
        return
    with run.engine.begin() as conn:
        orders.lock(conn, order.tenant_id, order.tracking_number)
        match outcome:
            case Returned() if known is not None:
                refunds_told.all_given(conn, attempt, refund)
            case Returned():
                refunds.given(conn, refund)
            case Captured():
                refunds.refused(conn, refund)
            case Pending():
                refunds.put_off(conn, refund, due_in=TAKEN_LOOK, taken=True)
            case Unanswered():
                pause = refund_again(order.seen_at - refund.key_since, outcome.retry_after)
                refunds.put_off(conn, refund, due_in=pause)
        reach(Failpoint.REFUND_BEFORE_COMMIT)
    reach(Failpoint.REFUND_AFTER_COMMIT)
    log.info("payment.refund", tracking_number=order.tracking_number, outcome=type(outcome).__name__)


def _looked_up(psp: Psp, attempt: Attempt) -> Returned | Unanswered | None:
    """What its PSP shows of the charge, where it can be asked, if that is no reason to ask for money of it: all of it
    went back, or nobody knows. None: it holds the charge."""
    if not psp.capabilities.looks_up:
        return None
    known = psp.look_up(attempt.query)
    if isinstance(known, Returned | Unanswered):
        return known
    if not isinstance(known, Captured):
        log.error("refund.no_capture", tracking_number=attempt.tracking_number, told=type(known).__name__)
        return Unanswered("its PSP does not hold what it is to give back", retry_after=STUCK)
    return None


def _ask(run: Runtime, psp: Psp, order: Order, refund: Refund, attempt: Attempt) -> ReturnOutcome | None:
    """What its PSP says of *refund*; None: somebody settled it meanwhile, and the PSP was not called for it."""
    assert attempt.psp_reference is not None, "a capture is told with its reference"
    is_whole = refund.amount_minor == attempt.amount_minor
    if not is_whole and _may_be_forgotten(order, refund, psp):
        log.error("refund.key_too_old", tracking_number=order.tracking_number)
        return Unanswered("the PSP may have forgotten its key", retry_after=STUCK)
    if is_whole and not refund.refusals % 2:
        if not _is_written_ahead(run, refund):
            return None
        voided = psp.void(attempt.psp_reference, psp_key=refund.void_key)
        if not isinstance(voided, Captured):
            return voided
    reach(Failpoint.REFUND_BEFORE_REFUND)
    if not _is_written_ahead(run, refund):
        return None
    return psp.refund(attempt.psp_reference, refund.money, psp_key=refund.key)


def _is_written_ahead(run: Runtime, refund: Refund) -> bool:
    with run.engine.begin() as conn:
        orders.lock(conn, refund.tenant_id, refund.tracking_number)
        is_written = refunds.write_call_ahead(conn, refund)
        reach(Failpoint.REFUND_BEFORE_AHEAD)
    reach(Failpoint.REFUND_AFTER_AHEAD)
    return is_written


def _may_be_forgotten(order: Order, refund: Refund, psp: Psp) -> bool:
    """Whether its key may be as old as a PSP's memory before an answer is here."""
    return order.seen_at + MARGIN - refund.key_since > psp.capabilities.key_lifetime
