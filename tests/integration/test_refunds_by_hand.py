"""What somebody gives back at the PSP beside us is written down as given: nobody here asks for it again."""

from __future__ import annotations

from pathlib import Path

from deploy.crashtest import gather
from shared.config import Settings
from shared.doctor import books, checks
from shared.domain.outcomes import Returned, StillHeld
from shared.store.operator_actions import Outcome
from shared.store.refunds import RefundState
from tests.support.engine_room import EngineRoom
from tests.support.examined import found
from tests.support.operating import at_a_shell, c2a
from tests.support.refunding import done, refund, reserved, stands
from workers.return_money import return_money


def given_back_by_hand(room: EngineRoom) -> str:
    """A done order whose money somebody gave back at the PSP, as its webhook told."""
    number = done(room)
    attempt = room.attempt(number)
    assert attempt.psp_reference is not None
    room.psp.void(attempt.psp_reference, psp_key=f"merchant-{number}")
    room.tell(attempt, Returned(attempt.psp_reference), actor="webhook")
    return number


def test_what_went_back_by_hand_is_on_record_and_nobody_asks_for_it(room: EngineRoom) -> None:
    number = given_back_by_hand(room)
    assert stands(room, number) == [(1499, RefundState.GIVEN)]
    assert reserved(room, number) == 1499
    assert "all of it went back" in refund(room, number).told
    assert (books.WENT_BACK, number) in found(room), "an operator hears of it all the same"
    assert checks.REFUNDS_ADD_UP not in {check for check, _ in found(room)}


def test_a_crash_test_counts_as_refunded_what_an_operator_gave_back_alone(room: EngineRoom, settings: Settings) -> None:
    """Else a void that our own mistake brought about would be taken for somebody's hand."""
    by_hand, by_us = given_back_by_hand(room), done(room)
    refund(room, by_us, 500)
    return_money(room.run, by_us)
    attempts = gather.database(settings.database_url.get_secret_value()).attempts
    assert {one.tracking_number: one.refunded for one in attempts if one.tracking_number in (by_hand, by_us)} == {
        by_hand: 0,
        by_us: 500,
    }


def test_money_that_did_not_go_back_by_hand_after_all_can_be_refunded(room: EngineRoom) -> None:
    number = given_back_by_hand(room)
    attempt = room.attempt(number)
    assert attempt.psp_reference is not None
    room.tell(attempt, StillHeld(attempt.psp_reference), actor="webhook")
    assert stands(room, number) == [(1499, RefundState.REFUSED)], "not ours to ask for again"
    assert reserved(room, number) == 0
    assert refund(room, number).outcome is Outcome.BEGUN
    return_money(room.run, number)
    assert stands(room, number) == [(1499, RefundState.REFUSED), (1499, RefundState.GIVEN)]


def test_the_story_tells_what_went_back_by_hand(room: EngineRoom, tmp_path: Path) -> None:
    number = given_back_by_hand(room)
    with at_a_shell(room, tmp_path):
        told = c2a("orders", "explain", number).output
    assert "1499 EUR (minor units) went back to the shopper: somebody did so at the PSP" in " ".join(told.split())
