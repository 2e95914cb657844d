"""The one place where news about money ends: worker, webhook, browser return and look-up all come here.

Facts about money are never fenced away. Whoever brings them, they are judged under the order's row lock by the
charge they speak of: the first capture of an order is its own; the same charge told twice changes nothing; a
capture that has no right to stay (its order failed or was called off, or another charge was first) is marked to be
returned. A PSP can make several charges under one key: once we hold one of them, nothing but a capture is news of
another. A return that failed is asked for anew under another name: what is told of the earlier one moves nothing more.
What only a worker can know (it got no answer, it sent nothing, it was declined) counts only while that worker's fence
is the order's: a stopped worker that wakes up must not undo what its successor learned.
"""

from __future__ import annotations

import random
from datetime import timedelta
from typing import assert_never

import structlog
from sqlalchemy import Connection

from shared.domain.outcomes import (
    Absent,
    Captured,
    Challenged,
    Declined,
    NotSent,
    Pending,
    Returned,
    StillHeld,
    Unanswered,
)
from shared.domain.states import PAID_OR_ENDED, OrderEvent, OrderState, may
from shared.give_up import time_is_over
from shared.kept import sealed_or_none
from shared.patience import (
    FIRST_LOOK,
    JITTER,
    LOOK_AGAIN,
    NOT_YET_PROOF,
    PENDING_LOOK,
    RETURN_REFUSED,
    STEP_PATIENCE,
    away_for,
)
from shared.public_words import failure_of, redirect_of
from shared.settling import GIVEN_UP, MAY_HOLD_MONEY, TAKEN, Case, News, Terms
from shared.store import attempts as attempt_store
from shared.store import moves, refunds_told, returning
from shared.store import orders as order_store
from shared.store.attempts import (
    NEVER_TAKEN,
    NOT_FOUND,
    NOT_SENT,
    UNSETTLED,
    Attempt,
    AttemptState,
    once_taken,
)
from shared.store.orders import Order
from shared.store.returned_events import tell_returned

__all__ = ["MAY_HOLD_MONEY", "News", "Terms", "settle"]

log = structlog.get_logger(__name__)


def settle(conn: Connection, news: News, terms: Terms) -> Order:
    """Make *news* true for its order, and say where the order stands now. The caller's transaction commits it."""
    order = order_store.lock(conn, news.attempt.tenant_id, news.attempt.tracking_number)
    assert order is not None, "an attempt has an order"
    every = attempt_store.of_order(conn, order.tenant_id, order.tracking_number)
    case = Case(conn, order, _meant(news, every), every, news, terms)
    if case.is_of_an_earlier_return or (case.is_of_another_charge and not isinstance(news.outcome, Captured)):
        return order
    match news.outcome:
        case Captured() as outcome:
            return _captured(case, outcome)
        case Declined() as outcome:
            return _declined(case, outcome)
        case Challenged() as outcome:
            return _challenged(case, outcome)
        case Pending() as outcome:
            return _pending(case, outcome)
        case Unanswered() as outcome:
            return _unanswered(case, outcome)
        case NotSent():
            return _not_made(case)
        case Absent():
            return _not_there(case)
        case Returned() as outcome:
            return _returned(case, outcome)
        case StillHeld() as outcome:
            return _still_held(case, outcome)
        case _:
            assert_never(news.outcome)


def _meant(news: News, every: list[Attempt]) -> Attempt:
    """The attempt that holds the charge *news* speaks of, else the one it was told of: a PSP's event names a key, and
    under one key there may be another charge with a row of its own."""
    told_of = next(one for one in every if one.attempt_no == news.attempt.attempt_no)
    holders = [one for one in every if one.provider == told_of.provider and one.psp_reference is not None]
    return next((one for one in holders if one.psp_reference == news.reference), told_of)


def _captured(case: Case, outcome: Captured) -> Order:
    if case.attempt.outcome in TAKEN:
        return _captured_again(case, outcome)
    if outcome.money != case.attempt.money:
        return _of_another_amount(case, outcome)
    rival = any(one.outcome is AttemptState.CAPTURED for one in case.every)
    if rival or case.is_called_off or not may(case.order.state, OrderEvent.PAYMENT_CAPTURED):
        log.error("payment.to_be_returned", tracking_number=case.order.tracking_number, state=case.order.state)
        case.mark(AttemptState.RETURNING, reference=outcome.reference)
        return case.order
    case.mark(
        AttemptState.CAPTURED,
        reference=outcome.reference,
        kept_token=sealed_or_none(case.terms.keyring, case.attempt, outcome.kept),
    )
    return case.move(OrderEvent.PAYMENT_CAPTURED, due_in=STEP_PATIENCE)


def _of_another_amount(case: Case, outcome: Captured) -> Order:
    """It pays no order, and goes back whatever its amount where nobody waits for it: its attempt is settled, or its
    order paid or ended.

    A challenge whose charge had no name until now is over with it: given up later it would be given up unnamed, and
    what it took forgotten. All else stays in doubt, for people to decide who may return the difference alone.
    """
    attempt = case.attempt
    log.error("payment.mismatch", tracking_number=case.order.tracking_number, attempt=attempt.attempt_no)
    is_waited_for = attempt.outcome in UNSETTLED and case.order.state not in PAID_OR_ENDED
    is_unnamed = attempt.outcome is AttemptState.CHALLENGED and attempt.psp_reference is None
    if is_waited_for and not is_unnamed:
        return _unanswered(case, Unanswered("captured another amount"))
    case.mark(AttemptState.RETURNING, reference=outcome.reference)
    returning.of_amount(case.conn, attempt, outcome.money)
    return case.move(OrderEvent.CHALLENGE_EXPIRED, failure="CANCELLED") if is_waited_for else case.order


def _captured_again(case: Case, outcome: Captured) -> Order:
    """A capture of an attempt that has its charge: told twice, or a second charge that the PSP made under one key."""
    if any(one.psp_reference == outcome.reference for one in case.every):
        if case.attempt.is_untaken:
            log.error("payment.taken_after_all", tracking_number=case.order.tracking_number)
            returning.taken_after_all(case.conn, case.attempt, outcome.money)
        kept = (
            sealed_or_none(case.terms.keyring, case.attempt, outcome.kept)
            if case.attempt.outcome is AttemptState.CAPTURED
            else None
        )
        if kept is not None:  # Told first by whoever did not know what was kept.
            attempt_store.keep(case.conn, case.attempt, kept)
        return case.order
    log.error("payment.second_charge", tracking_number=case.order.tracking_number, attempt=case.attempt.attempt_no)
    number = max(one.attempt_no for one in case.every) + 1
    attempt_store.add_second_charge(case.conn, case.attempt, outcome, attempt_no=number)
    return case.order


def _declined(case: Case, outcome: Declined) -> Order:
    if case.is_stale:
        return case.order
    if case.attempt.outcome is AttemptState.RETURNING and outcome.reference is not None:
        return _returned(case, Returned(outcome.reference, refunded=False))  # Never taken: nothing has to go back.
    if case.attempt.outcome not in UNSETTLED:
        return case.order
    goes_on = _may_go_on(case, outcome)
    case.mark(AttemptState.DECLINED, reference=outcome.reference, reason=outcome.reason)
    if goes_on:
        return case.move(OrderEvent.PAYMENT_DECLINED_SOFT, due_in=STEP_PATIENCE)
    return case.move(OrderEvent.PAYMENT_DECLINED, failure=failure_of(case.order, outcome.reason))


def _may_go_on(case: Case, outcome: Declined) -> bool:
    """Whether another PSP may be asked after *outcome*: it might say yes, nothing binds the order to this one, and this
    one provably holds nothing and never will.

    A no proves that only where it answers the one request that was ever sent under its key, or where the PSP would
    answer any other with the same no. Whoever was sent to their bank and came back with a no is not asked twice, and
    their card is gone.
    """
    is_proof = case.news.remembers_declines or case.attempt.was_asked_once
    was_asked_only = case.attempt.outcome is AttemptState.OPEN
    is_open = may(case.order.state, OrderEvent.PAYMENT_DECLINED_SOFT)
    return outcome.soft and not case.order.is_bound and was_asked_only and is_open and is_proof


def _challenged(case: Case, outcome: Challenged) -> Order:
    if case.attempt.outcome not in (AttemptState.OPEN, AttemptState.CHALLENGED):
        return case.order  # Told late: its shopper passed it since, or it is settled.
    if case.attempt.outcome is not AttemptState.CHALLENGED:
        case.mark(AttemptState.CHALLENGED, reference=outcome.reference)
    life = outcome.patience or case.terms.challenge_life
    return case.move(
        OrderEvent.SHOPPER_CHALLENGED, due_in=life, deadline_in=life, redirect=redirect_of(outcome.challenge)
    )


def _pending(case: Case, outcome: Pending) -> Order:
    if case.attempt.outcome not in UNSETTLED:
        return case.order
    if case.attempt.outcome is AttemptState.PENDING:
        if case.order.is_pending:  # Else another attempt paid it, and it is due for its next step.
            moves.look_again(case.conn, case.order, due_in=PENDING_LOOK)
        return case.order
    case.mark(AttemptState.PENDING, reference=outcome.reference)
    return case.move(
        OrderEvent.PAYMENT_PENDING, due_in=min(PENDING_LOOK, outcome.patience), deadline_in=outcome.patience
    )


def _unanswered(case: Case, outcome: Unanswered) -> Order:
    if case.is_stale or case.attempt.outcome not in UNSETTLED:
        return case.order
    looks = case.attempt.looks
    if case.order.state is OrderState.CONFIRMING:
        moves.look_again(case.conn, case.order, due_in=_next_look(case, outcome))
        return case.order
    if case.order.state is OrderState.CHALLENGE and not case.order.is_overdue:
        return case.order  # The shopper was sent there meanwhile and still has time.
    log.warning("payment.unanswered", tracking_number=case.order.tracking_number, provider=case.attempt.provider)
    # An order that was confirming before, and was sent again because its PSP cannot be asked, waits on as it did.
    is_again = case.order.state is OrderState.PAYING and looks > 0
    return case.move(OrderEvent.PAYMENT_UNANSWERED, due_in=_pause(looks - 1) if is_again else FIRST_LOOK)


def _pause(looks: int) -> timedelta:
    """How long an order waits after that many look-ups in vain."""
    return LOOK_AGAIN[min(looks, len(LOOK_AGAIN) - 1)] * random.uniform(*JITTER)  # noqa: S311


def _next_look(case: Case, outcome: Unanswered) -> timedelta:
    """How long an order in doubt waits; silence is counted, an answer that will be proof in a while is not."""
    if outcome.known_in is not None:
        return min(outcome.known_in, NOT_YET_PROOF)
    attempt_store.looked(case.conn, case.attempt)
    return _pause(case.attempt.looks)


def _not_made(case: Case) -> Order:
    if case.is_stale or case.attempt.outcome is not AttemptState.OPEN:
        return case.order
    told = case.news.outcome
    refused = told if isinstance(told, NotSent) else None
    case.mark(AttemptState.ABSENT, reason=NOT_SENT if refused else NOT_FOUND)
    due_in = away_for(case.order.seen_at - case.order.admitted_at)
    if refused is None:
        return case.move(OrderEvent.PAYMENT_NOT_MADE, due_in=due_in)
    place = refused.retry_after
    return case.move(
        OrderEvent.PAYMENT_NOT_MADE, due_in=due_in if place is None else place, waits_for=case.attempt.provider
    )


def _not_there(case: Case) -> Order:
    """Its PSP has no such charge, though it may have named one.

    A charge that came to nothing its PSP may have let go of: once it is given up, and nobody told that money was taken,
    it holds none. Of a capture that proves nothing, for whoever asks with the key of another account hears the same.
    """
    attempt = case.attempt
    if attempt.psp_reference is None or attempt.outcome is AttemptState.OPEN:
        return _not_made(case)
    is_going_back = attempt.outcome is AttemptState.RETURNING and attempt.is_untaken
    if case.is_stale or not (is_going_back or _is_over(case)):
        return case.order
    gone = Returned(attempt.psp_reference, refunded=False)
    return _holds_nothing(case, gone, reason=attempt.reason or NEVER_TAKEN)


def _is_over(case: Case) -> bool:
    """Whether nobody is waited for any more at what its PSP named and has not decided."""
    is_out = case.attempt.outcome in (AttemptState.CHALLENGED, AttemptState.PENDING)
    return is_out and (case.order.state in PAID_OR_ENDED or time_is_over(case.order, case.attempt))


def _returned(case: Case, outcome: Returned) -> Order:
    if case.attempt.outcome is AttemptState.CAPTURED:
        refunds_told.told_given(case.conn, case.attempt, outcome)
    if case.attempt.outcome not in UNSETTLED | {AttemptState.RETURNING}:
        return case.order  # A refund of a done order, or told twice.
    if outcome.money not in (None, case.attempt.money):
        log.warning("payment.partly_returned", tracking_number=case.order.tracking_number)
        return case.order  # What is left still has to go back.
    if case.may_be_of_an_earlier_return:
        returning.ask_now(case.conn, case.attempt)
        return case.order
    return _holds_nothing(case, outcome, reason=once_taken(case.attempt.reason))


def _holds_nothing(case: Case, outcome: Returned, *, reason: str | None) -> Order:
    """Nothing of it is at its PSP any more; that ends the order, if no other attempt may hold money."""
    case.mark(AttemptState.RETURNED, reference=outcome.reference, reason=reason)
    _tell_returned(case, outcome)
    if any(one.outcome in MAY_HOLD_MONEY for one in case.every if one is not case.attempt):
        return case.order  # Another attempt decides.
    was_called_off = case.is_called_off or case.order.is_pending
    was_challenge = case.attempt.outcome in GIVEN_UP and not was_called_off
    failure = "CHALLENGE_EXPIRED" if was_challenge else "CANCELLED"
    return case.move(OrderEvent.CHALLENGE_EXPIRED, failure=failure)


def _tell_returned(case: Case, outcome: Returned) -> None:
    """Where nobody says how it went back, what nobody told was taken was voided."""
    attempt = case.attempt
    was_taken = attempt.outcome is AttemptState.RETURNING and not attempt.is_untaken
    tell_returned(
        case.conn,
        attempt.tenant_id,
        attempt.tracking_number,
        money=attempt.money,
        refunded=was_taken if outcome.refunded is None else outcome.refunded,
        name=f"returned_{attempt.attempt_no}_{attempt.refusals}",
    )


def _still_held(case: Case, outcome: StillHeld) -> Order:
    """A return that its PSP had taken in hand, or had said was done, failed: it is asked for again."""
    if case.attempt.outcome in (AttemptState.RETURNING, AttemptState.RETURNED):
        log.error("payment.not_returned", tracking_number=case.order.tracking_number, times=case.attempt.refusals + 1)
        pause = RETURN_REFUSED[min(case.attempt.refusals, len(RETURN_REFUSED) - 1)]
        returning.not_returned(case.conn, case.attempt, due_in=pause)
    if case.attempt.outcome is AttemptState.CAPTURED:
        refunds_told.told_held(case.conn, case.attempt, outcome, pauses=RETURN_REFUSED)
    return case.order
