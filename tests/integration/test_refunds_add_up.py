"""Refunds agree with what webhooks and the PSP's books tell, and what does not add up is an alarm."""

from __future__ import annotations

from shared.doctor import books, checks
from shared.domain.money import Money
from shared.domain.outcomes import Captured, Returned
from shared.domain.states import OrderState
from shared.store.attempts import AttemptState
from shared.store.refunds import RefundState
from tests.support.engine_room import EngineRoom
from tests.support.examined import found
from tests.support.psp import Sandbox
from tests.support.refunding import at_psp, done, refund, stands
from workers import examiner
from workers.release import Releases
from workers.rescuer import rescue
from workers.return_money import return_money


def test_a_webhook_that_proves_it_ends_it_and_one_told_late_undoes_nothing(
    room: EngineRoom, shared_psp: Sandbox
) -> None:
    number = done(room)
    attempt = room.attempt(number)
    assert attempt.psp_reference is not None
    refund(room, number)
    room.tell(attempt, Returned(attempt.psp_reference), actor="webhook")
    assert stands(room, number) == [(1499, RefundState.GIVEN)]
    room.tell(attempt, Captured(attempt.psp_reference, attempt.money), actor="webhook")
    assert (room.state(number), room.attempt(number).outcome) == (OrderState.DONE, AttemptState.CAPTURED)
    assert stands(room, number) == [(1499, RefundState.GIVEN)]


def test_a_part_that_the_merchant_gave_back_beside_us_is_not_taken_for_ours(
    room: EngineRoom, shared_psp: Sandbox
) -> None:
    number = done(room)
    attempt = room.attempt(number)
    assert attempt.psp_reference is not None
    refund(room, number, 500)
    room.tell(attempt, Returned(attempt.psp_reference, Money(500, "EUR")), actor="webhook")
    assert stands(room, number) == [(500, RefundState.ASKED)]
    return_money(room.run, number)
    assert at_psp(shared_psp, room, number) == ("captured", 500)


def test_what_the_merchant_gave_back_leaves_the_rest_for_us(room: EngineRoom, shared_psp: Sandbox) -> None:
    number = done(room)
    reference = room.attempt(number).psp_reference
    assert reference is not None
    room.psp.refund(reference, Money(500, "EUR"), psp_key=f"merchant-{number}")
    refund(room, number)
    return_money(room.run, number)
    assert at_psp(shared_psp, room, number) == ("refunded", 1499)


def test_the_books_agree_with_refunds_and_nobody_undoes_them(room: EngineRoom, shared_psp: Sandbox) -> None:
    full, part, asked = done(room), done(room), done(room)
    for number, amount in ((full, None), (part, 500), (asked, 500)):
        refund(room, number, amount)
    return_money(room.run, full)
    return_money(room.run, part)
    charged = {room.attempt(number).psp_reference for number in (full, part, asked)}
    assert not {subject for _, subject in found(room)} & {full, part, asked, *charged}
    examiner.examine_alone(room.run)
    Releases().round(room.run)
    rescue(room.run)
    return_money(room.run, full)
    assert at_psp(shared_psp, room, full) == ("voided", 0)
    assert at_psp(shared_psp, room, part) == ("captured", 500)
    assert room.state(full) is OrderState.DONE


def test_a_refund_made_at_the_psp_beside_us_is_still_an_alarm(room: EngineRoom) -> None:
    number = done(room)
    reference = room.attempt(number).psp_reference
    assert reference is not None
    refund(room, number, 500)
    return_money(room.run, number)
    assert isinstance(room.psp.refund(reference, Money(999, "EUR"), psp_key=f"merchant-{number}"), Returned)
    assert (books.WENT_BACK, number) in found(room)


def test_refunds_that_do_not_add_up_are_a_broken_promise(room: EngineRoom) -> None:
    number = done(room)
    refund(room, number, 500)
    room.sql("UPDATE payment_attempts SET refunded_minor = 499 WHERE tracking_number = :n", n=number)
    assert (checks.REFUNDS_ADD_UP, number) in found(room)
    room.sql("UPDATE payment_attempts SET refunded_minor = 500 WHERE tracking_number = :n", n=number)
