"""An abandoned challenge is asked about, then cancelled at the PSP, and only then failed (design, waits have ends)."""

from __future__ import annotations

import pytest

from shared.domain.states import OrderState
from shared.store.attempts import AttemptState
from tests.support.engine_room import EngineRoom
from tests.support.psp import Sandbox
from tests.support.wire import fresh_card
from workers.look_up import look_up
from workers.pay import pay
from workers.return_money import return_money

THREE_DS = "4000002760003184"


def challenged(room: EngineRoom) -> str:
    number = room.locked(fresh_card(THREE_DS))
    assert not pay(room.run, number)
    assert room.state(number) is OrderState.CHALLENGE
    return number


def its_time_is_up(room: EngineRoom, number: str) -> None:
    room.sql("UPDATE orders SET deadline_at = now() WHERE tracking_number = :number", number=number)


def at_psp(psp: Sandbox, room: EngineRoom, number: str) -> str:
    [charge] = [row for row in psp.charges(room.account) if row["merchantReference"] == number]
    return str(charge["state"])


def test_a_shopper_who_still_has_time_is_not_hurried(room: EngineRoom, shared_psp: Sandbox) -> None:
    number = challenged(room)
    version = room.order(number).version

    look_up(room.run, number)

    assert room.order(number).version == version
    assert at_psp(shared_psp, room, number) == "challenge"


def test_when_the_time_is_up_it_is_voided_and_then_failed(room: EngineRoom, shared_psp: Sandbox) -> None:
    number = challenged(room)
    its_time_is_up(room, number)

    look_up(room.run, number)

    assert at_psp(shared_psp, room, number) == "voided"
    assert (room.state(number), room.order(number).failure) == (OrderState.FAILED, "CHALLENGE_EXPIRED")
    assert room.attempt(number).outcome is AttemptState.RETURNED


def test_who_approved_in_the_last_moment_has_paid(room: EngineRoom, shared_psp: Sandbox) -> None:
    number = challenged(room)
    redirect = room.order(number).redirect
    assert redirect is not None
    shared_psp.click(redirect["redirectUrl"], "approve")
    its_time_is_up(room, number)

    look_up(room.run, number)

    assert room.state(number) is OrderState.CAPTURED
    assert at_psp(shared_psp, room, number) == "captured"


@pytest.mark.parametrize("silent", ["lookUp", "void"])
def test_a_psp_that_does_not_answer_leaves_it_open_until_it_does(
    room: EngineRoom, shared_psp: Sandbox, silent: str
) -> None:
    """Whichever of the two questions got no answer: it is not failed on a guess."""
    number = challenged(room)
    its_time_is_up(room, number)
    shared_psp.set_faults(next=[{"kind": "http500", "on": silent}])

    look_up(room.run, number)
    assert room.state(number) is OrderState.CONFIRMING
    assert at_psp(shared_psp, room, number) == "challenge"
    look_up(room.run, number)
    return_money(room.run, number)

    assert (room.state(number), room.order(number).failure) == (OrderState.FAILED, "CHALLENGE_EXPIRED")
    assert at_psp(shared_psp, room, number) == "voided"


def test_a_void_whose_answer_was_lost_is_found_done(room: EngineRoom, shared_psp: Sandbox) -> None:
    number = challenged(room)
    its_time_is_up(room, number)
    shared_psp.set_faults(next=[{"kind": "http500After", "on": "void"}])

    look_up(room.run, number)
    assert room.state(number) is OrderState.CONFIRMING
    return_money(room.run, number)

    assert (room.state(number), room.order(number).failure) == (OrderState.FAILED, "CHALLENGE_EXPIRED")
    assert at_psp(shared_psp, room, number) == "voided"
