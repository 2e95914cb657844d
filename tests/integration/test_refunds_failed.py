"""A refund that failed is asked for again, that one alone; where nobody can tell which one it was, somebody looks.

Money that is asked for again by mistake goes back twice.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest

from shared.doctor import checks
from shared.domain.money import Money
from shared.domain.outcomes import StillHeld
from shared.operate.proving import Verdict
from shared.store.operator_actions import Outcome
from shared.store.refunds import Refund, RefundState
from tests.support.adyen_room import AdyenRoom
from tests.support.engine_room import EngineRoom
from tests.support.examined import found
from tests.support.operating import at_a_shell, c2a, proves, said
from tests.support.psp import Sandbox
from tests.support.refunding import at_psp, called_earlier, done, of_order, refund, reserved, stands
from workers.return_money import return_money

ASKED, GIVEN, REFUSED = RefundState.ASKED, RefundState.GIVEN, RefundState.REFUSED
IN_DOUBT = checks.REFUND_IN_DOUBT
LONG_AGO = timedelta(minutes=5)
"""Longer than a worker may have a request on its way and any PSP works on it."""


def given(adyen: AdyenRoom, number: str, amount_minor: int | None) -> Refund:
    """A refund of the order that its PSP told of as done."""
    refund(adyen.room, number, amount_minor)
    sent(adyen, number)
    adyen.fake.work()
    adyen.deliver_all()
    one = of_order(adyen.room, number)[-1]
    assert one.state is GIVEN
    return one


def sent(adyen: AdyenRoom, number: str) -> None:
    """Its PSP is asked for the refund that is under way, and takes it in hand."""
    return_money(adyen.room.run, number)


def tells(adyen: AdyenRoom, number: str, code: str, asked_as: str, amount_minor: int, *, success: bool = True) -> None:
    """A notification of the test's own making arrives."""
    about: dict[str, Any] = {
        "eventCode": code,
        "pspReference": token_hex(8).upper(),
        "originalReference": adyen.room.attempt(number).psp_reference,
        "merchantReference": asked_as,
        "amount": {"currency": "EUR", "value": amount_minor},
        "success": "true" if success else "false",
    }
    adyen.deliver(adyen.fake.body(adyen.room.account, about))


def fails(adyen: AdyenRoom, number: str, one: Refund) -> None:
    """What went back of *one* comes back to the PSP, which tells of it."""
    [payment] = adyen.payments(number)
    payment.returned -= one.amount_minor
    tells(adyen, number, "REFUND_FAILED", one.key, one.amount_minor)


def returned(adyen: AdyenRoom, number: str) -> int:
    """What its PSP gave back of the order, in minor units."""
    [payment] = adyen.payments(number)
    return payment.returned


def test_of_two_refunds_the_one_that_failed_is_asked_for_again(adyen: AdyenRoom) -> None:
    number = done(adyen.room)
    first, _ = given(adyen, number, 500), given(adyen, number, 300)
    fails(adyen, number, first)
    assert stands(adyen.room, number) == [(500, ASKED), (300, GIVEN)]
    assert reserved(adyen.room, number) == 800
    sent(adyen, number)
    adyen.fake.work()
    adyen.deliver_all()
    assert stands(adyen.room, number) == [(500, GIVEN), (300, GIVEN)]
    assert returned(adyen, number) == 800


def test_what_failed_while_another_is_under_way_is_here_and_may_be_refunded_again(adyen: AdyenRoom) -> None:
    number = done(adyen.room)
    first = given(adyen, number, 500)
    refund(adyen.room, number, 300)
    sent(adyen, number)
    fails(adyen, number, first)
    assert stands(adyen.room, number) == [(500, REFUSED), (300, ASKED)]
    assert (IN_DOUBT, number) in found(adyen.room)
    adyen.fake.work()
    adyen.deliver_all()
    tells(adyen, number, "REFUND", first.key, 500)  # Told late: it failed since.
    assert stands(adyen.room, number) == [(500, REFUSED), (300, GIVEN)]
    assert (reserved(adyen.room, number), returned(adyen, number)) == (300, 300)
    given(adyen, number, 500)
    assert returned(adyen, number) == 800


@pytest.mark.parametrize("asked_as", ["", "by hand", "the order's own"], ids=["no name", "a name", "the payment's"])
@pytest.mark.parametrize("amount_minor", [1200, 500])
def test_a_refund_that_somebody_asked_for_in_vain_moves_nothing_of_ours(
    adyen: AdyenRoom, asked_as: str, amount_minor: int
) -> None:
    number = done(adyen.room)
    given(adyen, number, 500)
    name = number if asked_as == "the order's own" else asked_as
    tells(adyen, number, "REFUND", name, amount_minor, success=False)
    assert stands(adyen.room, number) == [(500, GIVEN)]
    assert (IN_DOUBT, number) not in found(adyen.room)


def test_one_of_its_amount_that_somebody_asked_for_in_vain_is_looked_at_until_ours_is_settled(
    adyen: AdyenRoom,
) -> None:
    number = done(adyen.room)
    refund(adyen.room, number, 500)
    sent(adyen, number)
    tells(adyen, number, "REFUND", "by hand", 500, success=False)
    [one] = of_order(adyen.room, number)
    assert (one.state, one.refusals) == (ASKED, 0)
    assert (IN_DOUBT, number) in found(adyen.room)
    sent(adyen, number)
    adyen.fake.work()
    adyen.deliver_all()
    assert stands(adyen.room, number) == [(500, GIVEN)]
    assert returned(adyen, number) == 500
    assert (IN_DOUBT, number) not in found(adyen.room)


def test_one_of_its_amount_that_somebody_gave_back_and_that_failed_is_looked_at(adyen: AdyenRoom) -> None:
    number = done(adyen.room)
    given(adyen, number, 500)
    tells(adyen, number, "REFUND_FAILED", "by hand", 500)
    assert stands(adyen.room, number) == [(500, GIVEN)]
    assert (IN_DOUBT, number) in found(adyen.room)
    tells(adyen, number, "REFUND_FAILED", "by hand", 400)
    sent(adyen, number)
    adyen.fake.work()
    assert returned(adyen, number) == 500


def test_news_of_an_earlier_try_moves_nothing(adyen: AdyenRoom) -> None:
    """Of one request it may come in another order than it happened."""
    number = done(adyen.room)
    first = given(adyen, number, 500)
    fails(adyen, number, first)
    for code in ("REFUND", "REFUNDED_REVERSED"):
        tells(adyen, number, code, first.key, 500)
        [one] = of_order(adyen.room, number)
        assert (one.state, one.refusals) == (ASKED, 1)
    sent(adyen, number)
    adyen.fake.work()
    adyen.deliver_all()
    assert stands(adyen.room, number) == [(500, GIVEN)]
    assert returned(adyen, number) == 500


def test_a_wrong_word_is_put_right_also_while_another_refund_is_under_way(adyen: AdyenRoom) -> None:
    number = done(adyen.room)
    refund(adyen.room, number, 500)
    sent(adyen, number)
    called_earlier(adyen.room, number, LONG_AGO)
    assert proves(adyen.room, number, Verdict.NONE).outcome is Outcome.DONE
    refund(adyen.room, number, 500)
    sent(adyen, number)
    adyen.fake.work()
    adyen.deliver_all()
    assert stands(adyen.room, number) == [(500, GIVEN), (500, GIVEN)]
    assert (reserved(adyen.room, number), returned(adyen, number)) == (1000, 1000)


@pytest.mark.parametrize("amount_minor", [None, 1000], ids=["full", "part"])
def test_what_went_back_against_somebodys_word_ends_a_refund_that_nothing_is_left_for(
    adyen: AdyenRoom, amount_minor: int | None
) -> None:
    number = done(adyen.room)
    refund(adyen.room, number, amount_minor)
    sent(adyen, number)
    called_earlier(adyen.room, number, LONG_AGO)
    assert proves(adyen.room, number, Verdict.NONE).outcome is Outcome.DONE
    refund(adyen.room, number, amount_minor)
    sent(adyen, number)
    adyen.fake.work()
    adyen.deliver_all()
    minor = amount_minor or 1499
    assert stands(adyen.room, number) == [(minor, GIVEN), (minor, REFUSED)]
    assert (reserved(adyen.room, number), returned(adyen, number)) == (minor, minor)


def test_a_word_that_its_psp_denies_is_looked_at(adyen: AdyenRoom) -> None:
    number = done(adyen.room)
    refund(adyen.room, number, 500)
    adyen.fake.till.refuses_returns = 1
    sent(adyen, number)
    proves(adyen.room, number, Verdict.RETURNED)
    adyen.fake.work()
    adyen.deliver_all()
    assert stands(adyen.room, number) == [(500, GIVEN)], "somebody may have given it back there"
    assert (IN_DOUBT, number) in found(adyen.room)


def test_a_refund_that_fails_because_all_is_back_already_is_no_alarm(adyen: AdyenRoom) -> None:
    number = done(adyen.room)
    refund(adyen.room, number, 500)
    sent(adyen, number)
    adyen.payments(number)[0].returned = 1499
    tells(adyen, number, "REFUND", "by hand", 1499)
    adyen.fake.work()
    adyen.deliver_all()
    assert stands(adyen.room, number) == [(500, GIVEN), (999, GIVEN)]
    assert (IN_DOUBT, number) not in found(adyen.room)


def test_what_somebody_gave_back_and_that_failed_is_here_again_whatever_it_was_called(adyen: AdyenRoom) -> None:
    number = done(adyen.room)
    tells(adyen, number, "CANCEL_OR_REFUND", "by hand", 1499)
    tells(adyen, number, "REFUND_FAILED", "by hand", 1499)
    assert stands(adyen.room, number) == [(1499, REFUSED)]
    assert reserved(adyen.room, number) == 0


def test_a_part_of_its_amount_is_believed_whatever_its_request_was_called(adyen: AdyenRoom) -> None:
    """Nothing is paid by that; else a PSP that names requests otherwise would never end a refund."""
    number = done(adyen.room)
    refund(adyen.room, number, 500)
    sent(adyen, number)
    tells(adyen, number, "REFUND", "by hand", 500)
    assert stands(adyen.room, number) == [(500, GIVEN)]


def at_a_psp_that_tells_no_name(room: EngineRoom, *amounts: int) -> str:
    number = done(room)
    for amount_minor in amounts:
        refund(room, number, amount_minor)
        return_money(room.run, number)
    assert [one.state for one in of_order(room, number)] == [GIVEN] * len(amounts)
    return number


def failed(room: EngineRoom, number: str, money: Money | None, *, was_done: bool | None) -> None:
    attempt = room.attempt(number)
    assert attempt.psp_reference is not None
    room.tell(attempt, StillHeld(attempt.psp_reference, money, was_done=was_done), actor="webhook")


@pytest.mark.parametrize("was_done", [True, None])
def test_without_a_name_the_one_it_fits_alone_is_asked_for_again(
    room: EngineRoom, shared_psp: Sandbox, was_done: bool | None
) -> None:
    number = at_a_psp_that_tells_no_name(room, 500, 300)
    failed(room, number, Money(700, "EUR"), was_done=was_done)
    failed(room, number, Money(500, "EUR"), was_done=False)
    assert stands(room, number) == [(500, GIVEN), (300, GIVEN)]
    failed(room, number, Money(500, "EUR"), was_done=was_done)
    assert stands(room, number) == [(500, ASKED), (300, GIVEN)]
    assert (IN_DOUBT, number) not in found(room)


@pytest.mark.parametrize("money", [Money(300, "EUR"), None], ids=["its amount", "no amount"])
def test_without_a_name_and_with_two_it_fits_nothing_is_asked_for_again(
    room: EngineRoom, shared_psp: Sandbox, money: Money | None
) -> None:
    number = at_a_psp_that_tells_no_name(room, 300, 300)
    failed(room, number, money, was_done=True)
    assert stands(room, number) == [(300, GIVEN), (300, GIVEN)]
    assert (IN_DOUBT, number) in found(room)
    return_money(room.run, number)
    assert at_psp(shared_psp, room, number) == ("captured", 600)


def test_without_a_name_one_that_nobody_was_called_for_did_not_fail(room: EngineRoom) -> None:
    number = done(room)
    refund(room, number, 500)
    failed(room, number, Money(500, "EUR"), was_done=False)
    [one] = of_order(room, number)
    assert (one.state, one.refusals) == (ASKED, 0)


def test_its_story_tells_that_it_is_in_doubt(room: EngineRoom, tmp_path: Path) -> None:
    number = at_a_psp_that_tells_no_name(room, 300, 300)
    failed(room, number, Money(300, "EUR"), was_done=True)
    with at_a_shell(room, tmp_path):
        told = " ".join(c2a("orders", "explain", number).output.split())
        shown = said("orders", "show", number)["refunds"]
    assert "told of a refund that failed, which may be the one of 300 EUR (minor units)" in told
    assert "went back as a refund. Its PSP told of one that failed, which may be this one" in told
    assert all(one["doubtedAt"] for one in shown)
