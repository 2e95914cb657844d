"""A capture of another amount than was asked for pays no order, and is not lost where nobody waits for it any more."""

from __future__ import annotations

from secrets import token_hex

import pytest

from shared.domain.money import Money
from shared.domain.outcomes import Captured, Declined, DeclineReason, NotSent
from shared.domain.states import OrderState
from shared.store.attempts import AttemptState
from tests.support.adyen_room import AdyenRoom
from tests.support.engine_room import EngineRoom
from tests.support.two_psps import FIRST, TwoPsps
from workers.look_up import look_up
from workers.pay import pay
from workers.return_money import return_money

OTHERS = [Money(1400, "EUR"), Money(1600, "EUR"), Money(1499, "USD")]


def approved_in_part(adyen: AdyenRoom, told: str) -> str:
    """An order whose shopper passed the challenge, for which the issuer let less be taken."""
    number = adyen.challenged()
    [payment] = adyen.payments(number)
    payment.value = 1400
    adyen.comes_back(adyen.decides(number, "approve"))
    if told == "by what its shopper brought":
        look_up(adyen.room.run, number)
        return number
    adyen.fake.troubles.add("drop after", on="details")
    look_up(adyen.room.run, number)  # Taken, and nobody heard it.
    assert adyen.room.state(number) is OrderState.CHALLENGE
    if told == "after it was given up":
        adyen.room.sql("UPDATE payment_attempts SET brought = NULL WHERE tracking_number = :n", n=number)
        adyen.room.sql("UPDATE orders SET deadline_at = now() WHERE tracking_number = :n", n=number)
        look_up(adyen.room.run, number)
        assert adyen.room.state(number) is OrderState.FAILED
    adyen.deliver_all("AUTHORISATION")
    return number


@pytest.mark.parametrize("told", ["after it was given up", "while it was waited for", "by what its shopper brought"])
def test_what_a_challenge_without_a_name_took_in_part_goes_back(adyen: AdyenRoom, told: str) -> None:
    number = approved_in_part(adyen, told)
    taken = adyen.room.attempt(number)
    assert (taken.outcome, taken.money) == (AttemptState.RETURNING, Money(1400, "EUR"))
    failure = "CHALLENGE_EXPIRED" if told == "after it was given up" else "CANCELLED"
    assert (adyen.room.state(number), adyen.room.order(number).failure) == (OrderState.FAILED, failure)

    return_money(adyen.room.run, number)
    adyen.fake.work()
    adyen.deliver_all("CANCEL_OR_REFUND")

    assert adyen.held(number) == []
    assert adyen.room.attempt(number).outcome is AttemptState.RETURNED


@pytest.mark.parametrize("other", OTHERS, ids=str)
@pytest.mark.parametrize("thought", ["declined", "absent", "open"])
def test_one_of_a_failed_order_is_to_go_back_whole(room: EngineRoom, other: Money, thought: str) -> None:
    number = room.locked()
    room.dies_while_charging(number, after_the_charge=False)
    attempt = room.attempt(number)
    room.tell(attempt, Declined(DeclineReason.GENERIC))
    assert room.state(number) is OrderState.FAILED
    room.sql("UPDATE payment_attempts SET outcome = :o WHERE tracking_number = :n", o=thought, n=number)
    reference = f"sb_{token_hex(8)}"

    for _ in range(2):
        room.tell(attempt, Captured(reference, other), actor="webhook")

    now = room.attempt(number)
    assert (now.outcome, now.psp_reference, now.money) == (AttemptState.RETURNING, reference, other)
    assert room.state(number) is OrderState.FAILED


def test_one_of_a_paid_order_goes_back_and_the_order_stays_paid(both: TwoPsps) -> None:
    """The first PSP said no and forgot it; a repeat that was long on its way is charged there, and not as asked."""
    both.sandboxes[FIRST].set_faults(memory="successes", next=[{"kind": "declineSoft"}])
    number = both.room.locked()
    pay(both.room.run, number)
    first, second = both.room.attempts(number)
    assert second.outcome is AttemptState.CAPTURED

    both.room.tell(first, Captured(f"sb_{token_hex(8)}", OTHERS[0]), actor="webhook")

    assert [one.outcome for one in both.room.attempts(number)] == [AttemptState.RETURNING, AttemptState.CAPTURED]
    assert both.room.attempts(number)[0].money == OTHERS[0]
    assert both.room.state(number) is OrderState.CAPTURED


def test_one_of_an_attempt_that_was_written_off_goes_back_though_its_order_waits_to_be_paid(room: EngineRoom) -> None:
    number = room.locked()
    room.dies_while_charging(number, after_the_charge=False)
    attempt = room.attempt(number)
    room.tell(attempt, NotSent("refused"))

    room.tell(attempt, Captured(f"sb_{token_hex(8)}", OTHERS[0]), actor="webhook")

    assert room.attempt(number).outcome is AttemptState.RETURNING
    assert room.state(number) is OrderState.OFFER_LOCKED
