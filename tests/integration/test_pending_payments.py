"""A payment that takes days has an end: what is still pending past its deadline is taken back and then failed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from secrets import token_hex
from typing import Any

import pytest

from shared.domain.outcomes import Absent, Challenge, Challenged, LookUpOutcome, Pending
from shared.domain.states import OrderState
from shared.give_up import abandon
from shared.psp.port import ChargeQuery, Psp
from shared.store.attempts import AttemptState
from tests.support.engine_room import EngineRoom, captured
from tests.support.psp import Sandbox
from tests.support.wire import channel
from workers.look_up import look_up
from workers.pay import pay
from workers.return_money import return_money


@dataclass(frozen=True, slots=True)
class _Purged:
    """A PSP that no longer has any charge in its books."""

    psp: Psp

    def __getattr__(self, name: str) -> Any:
        return getattr(self.psp, name)

    def look_up(self, query: ChargeQuery) -> LookUpOutcome:
        """Nothing is known of it."""
        return Absent()


def pending(room: EngineRoom, psp: Sandbox, *, is_overdue: bool) -> str:
    """An order whose direct debit the PSP took and says nothing more of."""
    psp.set_faults(settleSeconds=600)
    number = room.locked(channel("SEPA"))
    assert not pay(room.run, number)
    assert room.attempt(number).outcome is AttemptState.PENDING
    if is_overdue:
        room.sql("UPDATE orders SET deadline_at = now() WHERE tracking_number = :number", number=number)
    return number


def at_psp(psp: Sandbox, room: EngineRoom, number: str) -> str:
    [charge] = [row for row in psp.charges(room.account) if row["merchantReference"] == number]
    return str(charge["state"])


def test_what_is_still_pending_past_its_deadline_is_voided_and_then_failed(
    room: EngineRoom, shared_psp: Sandbox
) -> None:
    number = pending(room, shared_psp, is_overdue=True)

    look_up(room.run, number)

    assert at_psp(shared_psp, room, number) == "voided"
    assert (room.state(number), room.order(number).failure) == (OrderState.FAILED, "CANCELLED")
    assert room.attempt(number).outcome is AttemptState.RETURNED


def test_until_then_it_is_left_alone(room: EngineRoom, shared_psp: Sandbox) -> None:
    number = pending(room, shared_psp, is_overdue=False)

    look_up(room.run, number)

    assert at_psp(shared_psp, room, number) == "pending"
    assert room.state(number) is OrderState.CONFIRMING


def test_a_void_that_got_no_answer_is_asked_for_again_and_a_capture_in_between_has_no_right_to_stay(
    room: EngineRoom, shared_psp: Sandbox
) -> None:
    number = pending(room, shared_psp, is_overdue=True)
    shared_psp.set_faults(next=[{"kind": "http500", "on": "void"}])

    look_up(room.run, number)
    assert (room.state(number), room.attempt(number).outcome) == (OrderState.CONFIRMING, AttemptState.RETURNING)
    attempt = room.attempt(number)
    assert attempt.psp_reference is not None
    room.tell(attempt, captured(attempt, attempt.psp_reference), actor="webhook")
    return_money(room.run, number)

    assert (room.state(number), room.order(number).failure) == (OrderState.FAILED, "CANCELLED")
    assert at_psp(shared_psp, room, number) == "voided"


def test_one_that_was_captured_in_the_last_moment_has_paid(room: EngineRoom, shared_psp: Sandbox) -> None:
    number = pending(room, shared_psp, is_overdue=True)
    order, attempt = room.order(number), room.attempt(number)  # What a look-up read before the webhook came.
    room.tell(attempt, captured(attempt, attempt.psp_reference or token_hex(8)), actor="webhook")

    with room.run.engine.begin() as conn:
        assert not abandon(conn, order, attempt)

    assert room.state(number) is OrderState.CAPTURED


@pytest.mark.parametrize("is_overdue", [False, True])
def test_one_the_psp_knows_no_more_holds_nothing_once_its_time_is_over(
    room: EngineRoom, shared_psp: Sandbox, is_overdue: bool
) -> None:
    number = pending(room, shared_psp, is_overdue=is_overdue)

    look_up(replace(room.run, psp_for=lambda _: _Purged(room.psp)), number)

    if is_overdue:
        assert (room.state(number), room.order(number).failure) == (OrderState.FAILED, "CANCELLED")
        assert room.attempt(number).outcome is AttemptState.RETURNED
    else:
        assert (room.state(number), room.attempt(number).outcome) == (OrderState.CONFIRMING, AttemptState.PENDING)


def test_a_challenge_told_late_does_not_send_the_shopper_back_to_it(room: EngineRoom, shared_psp: Sandbox) -> None:
    """The bank has it already; the webhook of the challenge that was passed for it comes after that of "pending"."""
    number = pending(room, shared_psp, is_overdue=False)
    order, attempt = room.order(number), room.attempt(number)
    assert attempt.psp_reference is not None

    room.tell(attempt, Challenged(attempt.psp_reference, Challenge("http://127.0.0.1/page")), actor="webhook")

    assert room.attempt(number) == attempt
    assert replace(room.order(number), seen_at=order.seen_at) == order


def test_what_is_told_of_it_again_puts_no_order_off_that_was_paid_meanwhile(
    room: EngineRoom, shared_psp: Sandbox
) -> None:
    """Its next step is to store the card, and that is due in seconds, not within the hour."""
    number = pending(room, shared_psp, is_overdue=False)
    attempt = room.attempt(number)
    assert attempt.psp_reference is not None
    room.sql("UPDATE orders SET state = 'captured', deadline_at = NULL WHERE tracking_number = :n", n=number)
    [(due,)] = room.sql("SELECT due_at FROM orders WHERE tracking_number = :n", n=number)

    room.tell(attempt, Pending(attempt.psp_reference, timedelta(days=14)), actor="webhook")

    assert room.sql("SELECT due_at FROM orders WHERE tracking_number = :n", n=number) == [(due,)]
