"""Asks the PSP what became of a payment nobody told us about, and settles its answer.

Two kinds of orders come here: those whose PSP did not answer (confirming), and those whose shopper came back,
or did not come back in time (challenge). An abandoned challenge is first asked about, then given up in our row,
then cancelled at the PSP, and fails only on the PSP's proof that no money is held; so is a payment that is still
pending when its channel's days are over. Given up first: a shopper who
passes it in the last moment would otherwise be told "done" with money that we gave back. What a look-up learned
counts only while the order's fence is the one it read: by then somebody may have asked for the money again.

A PSP that cannot be asked is asked by the payment's own request: the payment step is rung for, which alone sends it
(pay.py), and if that cannot be either, the PSP's webhook is waited for. A challenge there is asked about with what the
shopper's browser brought back, and given up without proof when its time is over.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Final

import structlog

from shared.brought import open_brought
from shared.domain.outcomes import Absent, Challenged, LookUpOutcome, Pending, Unanswered
from shared.domain.states import OrderState
from shared.failpoints import Failpoint, reach
from shared.give_up import abandon, time_is_over
from shared.logs import about
from shared.messages import STEP_FOR, Lane, Step
from shared.patience import LOOKS_WITH_BROUGHT
from shared.psp.port import Psp
from shared.settle import News, settle
from shared.store import attempts, moves, orders
from shared.store.attempts import UNSETTLED, Attempt, AttemptState
from shared.store.engine import statements
from shared.store.orders import Order
from workers.last_word import last_word
from workers.return_money import return_money
from workers.runtime import Runtime

log = structlog.get_logger(__name__)

UNCLEAR: Final = frozenset({OrderState.CONFIRMING, OrderState.CHALLENGE})
STILL_OUT: Final = {AttemptState.CHALLENGED: Challenged, AttemptState.PENDING: Challenged | Pending}
"""What a PSP says of an attempt that got no further."""


def look_up(run: Runtime, tracking_number: str) -> None:
    """Settle what the PSP says of an order that waits for its verdict."""
    with statements(run.engine) as conn:
        order = orders.get(conn, tracking_number)
        if order is None or order.state not in UNCLEAR:
            return
        about(order.tenant_id)
        every = attempts.of_order(conn, order.tenant_id, order.tracking_number)
    attempt = next((one for one in every if one.outcome in UNSETTLED), None)
    if attempt is None:
        return  # Its verdict came between the two reads, or its money is on its way back.
    psp = run.psp_for(run.account_at(order.tenant_id, attempt.provider))
    reach(Failpoint.LOOK_UP_BEFORE_CALL)
    is_asked = psp.capabilities.looks_up or attempt.outcome is not AttemptState.OPEN
    outcome = _ask(run, psp, order, attempt) if is_asked else Unanswered("it is sent again")
    reach(Failpoint.LOOK_UP_AFTER_CALL)
    if outcome is None:
        return
    if isinstance(outcome, Unanswered) and outcome.retry_after is not None:
        with statements(run.engine) as conn:  # Nobody was asked: that is no look-up, and no reason for a longer pause.
            moves.look_again(conn, order, due_in=outcome.retry_after)
        return
    with run.engine.begin() as conn:
        now = settle(conn, _news(psp, attempt, outcome, fence=order.fence), run.terms)
        reach(Failpoint.LOOK_UP_BEFORE_COMMIT)
    reach(Failpoint.LOOK_UP_AFTER_COMMIT)
    log.info("payment.looked_up", tracking_number=tracking_number, outcome=type(outcome).__name__, state=now.state)
    _go_on(run, order, now, is_asked=is_asked)


def _news(psp: Psp, attempt: Attempt, outcome: LookUpOutcome, *, fence: int) -> News:
    remembers = psp.capabilities.remembers_declines
    return News(attempt, outcome, actor="look_up", fence=fence, remembers_declines=remembers)


def _ask(run: Runtime, psp: Psp, order: Order, attempt: Attempt) -> LookUpOutcome | None:
    """The PSP's word, or None if it changes nothing: a shopper who still has time is not hurried."""
    answer = _answer(run, psp, attempt)
    if isinstance(answer, Unanswered) and answer.retry_after is not None:
        return answer
    if time_is_over(order, attempt):
        if isinstance(answer, STILL_OUT[attempt.outcome]):
            _give_up(run, psp, order, attempt)
            return None
        if isinstance(answer, Absent) and attempt.psp_reference is not None:
            return answer  # The PSP let go of what came to nothing (settle.py).
    if isinstance(answer, Absent) and attempt.outcome is AttemptState.OPEN:
        proof_in = _proof_in(run, psp, order, attempt)
        answer = (
            answer if proof_in <= timedelta(0) else Unanswered("the request may still be on its way", known_in=proof_in)
        )
    elif isinstance(answer, Absent):
        answer = Unanswered("a charge we know of is said not to be there")
    has_time = order.state is OrderState.CHALLENGE and not order.is_overdue
    return None if has_time and isinstance(answer, Challenged | Unanswered) else answer


def _answer(run: Runtime, psp: Psp, attempt: Attempt) -> LookUpOutcome:
    """What the PSP says of *attempt*; of one that cannot be asked what it said last holds, until it says more."""
    brought = open_brought(run.keyring, attempt)
    if not psp.capabilities.looks_up and not brought:
        return last_word(attempt)
    answer = psp.look_up(replace(attempt.query, brought=brought))
    if isinstance(answer, Unanswered) and answer.retry_after is not None:
        return answer
    is_silent = isinstance(answer, Unanswered) and (not brought or attempt.looks >= LOOKS_WITH_BROUGHT)
    return last_word(attempt) if is_silent and not psp.capabilities.looks_up else answer


def _give_up(run: Runtime, psp: Psp, order: Order, attempt: Attempt) -> None:
    """Give a payment up whose time is over, in our row before at the PSP; the return of its money ends the order, if
    its PSP can prove it."""
    with run.engine.begin() as conn:
        now = abandon(conn, order, attempt, provable=psp.capabilities.looks_up)
        reach(Failpoint.ABANDON_BEFORE_COMMIT)
    reach(Failpoint.ABANDON_AFTER_COMMIT)
    if now is not None:
        run.forget_spent_card(now)
        return_money(run, order.tracking_number)


def _proof_in(run: Runtime, psp: Psp, order: Order, attempt: Attempt) -> timedelta:
    """How long until "no such charge" proves that there will be none: when whoever sent it must have given up."""
    surely = timedelta(seconds=run.settings.lease_limit_s) + psp.capabilities.longest_processing
    return attempt.asked_at + surely - order.seen_at


def _go_on(run: Runtime, before: Order, now: Order, *, is_asked: bool) -> None:
    """Let go of a card that nobody needs any more; ring for what comes next."""
    if now.version != before.version:
        run.velocity.note(now)
        run.forget_spent_card(now)
    ring = _ring(before, now, is_asked=is_asked)
    if ring is not None:
        run.doorbell.ring(ring[0], now.tracking_number, ring[1])
        reach(Failpoint.LOOK_UP_AFTER_RING)


def _ring(before: Order, now: Order, *, is_asked: bool) -> tuple[Step, Lane] | None:
    """What is rung for: an order that is out of its doubt goes on, one whose PSP cannot be asked is sent again."""
    if now.version == before.version:
        # It was claimed once and nobody told us: as urgent as what a worker dropped.
        return None if is_asked else (Step.PAY, Lane.ALONE if now.crashes else Lane.FRONT)
    return None if now.state in UNCLEAR or now.is_finished else (STEP_FOR[now.state], Lane.TURN)
