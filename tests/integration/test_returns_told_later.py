"""Money that goes back at a PSP that takes a return in hand and tells later: neither given up nor taken as done."""

from __future__ import annotations

from secrets import token_hex
from typing import Any

import pytest

from shared.domain.states import OrderState
from shared.patience import RETURN_REFUSED, TAKEN_LOOK
from shared.store import returning
from shared.store.attempts import AttemptState
from tests.support.adyen_room import AdyenRoom
from tests.support.wire import fresh_card
from workers.look_up import look_up
from workers.return_money import return_money
from workers.tokenize import tokenize


def to_be_returned(adyen: AdyenRoom) -> str:
    """An order that failed though its PSP captured: told late, the capture has no right to stay."""
    number = adyen.challenged()
    adyen.comes_back(adyen.decides(number, "approve"))
    adyen.fake.troubles.add("drop after", on="details")
    look_up(adyen.room.run, number)  # Captured, and nobody heard it.
    adyen.room.sql("UPDATE payment_attempts SET brought = NULL WHERE tracking_number = :n", n=number)
    adyen.room.sql("UPDATE orders SET deadline_at = now() WHERE tracking_number = :n", n=number)
    look_up(adyen.room.run, number)
    assert adyen.room.state(number) is OrderState.FAILED
    adyen.deliver_all("AUTHORISATION")
    assert adyen.room.attempt(number).outcome is AttemptState.RETURNING
    return number


def reference(adyen: AdyenRoom, number: str) -> str:
    found = adyen.room.attempt(number).psp_reference
    assert found is not None
    return found


def due_in_s(adyen: AdyenRoom, number: str) -> float:
    [(seconds,)] = adyen.room.sql(
        "SELECT extract(epoch FROM due_at - now()) FROM payment_attempts WHERE tracking_number = :n", n=number
    )
    return float(seconds)


def event(adyen: AdyenRoom, number: str, code: str, **changes: Any) -> bytes:
    """A notification about the charge of an order, of the test's own making."""
    about = {
        "eventCode": code,
        "pspReference": token_hex(8).upper(),
        "originalReference": reference(adyen, number),
        "merchantReference": "whatever the merchant called it",
        "amount": {"currency": "EUR", "value": 1499},
    }
    return adyen.fake.body(adyen.room.account, about | changes)


def test_taken_in_hand_is_not_returned_and_is_asked_for_again_by_the_hour(adyen: AdyenRoom) -> None:
    number = to_be_returned(adyen)

    return_money(adyen.room.run, number)

    assert adyen.room.attempt(number).outcome is AttemptState.RETURNING
    assert due_in_s(adyen, number) > TAKEN_LOOK.total_seconds() - 60
    return_money(adyen.room.run, number)
    adyen.fake.work()
    assert [one.returned for one in adyen.payments(number)] == [1499]
    first, again = adyen.keys(number, "reversals")
    assert first == again, "the same key gives back once"


def test_its_notification_proves_it(adyen: AdyenRoom) -> None:
    number = to_be_returned(adyen)
    return_money(adyen.room.run, number)
    adyen.fake.work()
    adyen.deliver_all("CANCEL_OR_REFUND")
    assert adyen.room.attempt(number).outcome is AttemptState.RETURNED
    assert adyen.held(number) == []
    asked = len(adyen.fake.calls)
    return_money(adyen.room.run, number)
    assert len(adyen.fake.calls) == asked


@pytest.mark.parametrize("trouble", ["drop after", "500 after", "otherReference", "drop", "429"])
def test_a_return_without_an_answer_is_soon_asked_for_again_and_happens_once(adyen: AdyenRoom, trouble: str) -> None:
    """Fault C10."""
    number = to_be_returned(adyen)
    adyen.fake.troubles.add(trouble, on="reversals")
    return_money(adyen.room.run, number)
    assert due_in_s(adyen, number) <= 30
    return_money(adyen.room.run, number)
    adyen.fake.work()
    assert [one.returned for one in adyen.payments(number)] == [1499]
    first, again = adyen.keys(number, "reversals")
    assert first == again, "whatever became of the first one"


def test_what_was_refused_is_asked_for_as_a_refund_under_another_key_later(adyen: AdyenRoom) -> None:
    number = to_be_returned(adyen)
    adyen.fake.till.refuses_returns = 1
    return_money(adyen.room.run, number)
    adyen.fake.work()

    adyen.deliver_all("CANCEL_OR_REFUND")

    attempt = adyen.room.attempt(number)
    assert (attempt.outcome, attempt.refusals) == (AttemptState.RETURNING, 1)
    assert RETURN_REFUSED[0].total_seconds() - 5 <= due_in_s(adyen, number) <= RETURN_REFUSED[0].total_seconds()
    return_money(adyen.room.run, number)
    adyen.fake.work()
    adyen.deliver_all("REFUND")
    assert adyen.room.attempt(number).outcome is AttemptState.RETURNED
    keys = [call[3]["Idempotency-Key"] for call in adyen.fake.calls if call[1].endswith(("reversals", "refunds"))]
    assert len(set(keys[-2:])) == 2


def test_a_refusal_that_overtakes_the_answer_is_not_undone_by_it(adyen: AdyenRoom) -> None:
    """The worker put the return off as it saw it before the notification came: a stale value, so nothing changes."""
    number = to_be_returned(adyen)
    stale = adyen.room.attempt(number)
    adyen.deliver(event(adyen, number, "CANCEL_OR_REFUND", success="false"))
    with adyen.room.run.engine.begin() as conn:
        returning.put_off_return(conn, stale, due_in=TAKEN_LOOK, taken=True)
    assert due_in_s(adyen, number) <= RETURN_REFUSED[0].total_seconds()
    assert adyen.room.sql("SELECT taken_at FROM payment_attempts WHERE tracking_number = :n", n=number) == [(None,)]


def test_a_refund_that_failed_after_it_was_proven_is_asked_for_again(adyen: AdyenRoom) -> None:
    number = to_be_returned(adyen)
    adyen.deliver(event(adyen, number, "REFUND"))
    assert adyen.room.attempt(number).outcome is AttemptState.RETURNED
    adyen.deliver(event(adyen, number, "REFUND_FAILED"))
    assert adyen.room.attempt(number).outcome is AttemptState.RETURNING


def test_a_part_that_went_back_does_not_prove_the_rest(adyen: AdyenRoom) -> None:
    number = to_be_returned(adyen)
    adyen.deliver(event(adyen, number, "REFUND", amount={"currency": "EUR", "value": 500}))
    assert adyen.room.attempt(number).outcome is AttemptState.RETURNING


def test_what_turns_out_to_have_been_refused_has_nothing_to_give_back(adyen: AdyenRoom) -> None:
    number = to_be_returned(adyen)
    told = {
        "eventCode": "AUTHORISATION",
        "pspReference": reference(adyen, number),
        "merchantReference": number,
        "amount": {"currency": "EUR", "value": 1499},
        "success": "false",
    }
    adyen.deliver(adyen.fake.body(adyen.room.account, told))
    assert adyen.room.attempt(number).outcome is AttemptState.RETURNED


@pytest.mark.parametrize("code", ["REFUND", "REFUND_FAILED", "CANCEL_OR_REFUND", "CAPTURE_FAILED", "CHARGEBACK"])
def test_what_happens_to_a_paid_order_at_the_psp_is_acknowledged_and_moves_nothing(adyen: AdyenRoom, code: str) -> None:
    number = adyen.paid(fresh_card())
    tokenize(adyen.room.run, number)
    version = adyen.room.order(number).version
    adyen.deliver(event(adyen, number, code))
    order = adyen.room.order(number)
    assert (order.state, order.version) == (OrderState.DONE, version)
    assert adyen.room.attempt(number).outcome is AttemptState.CAPTURED


def test_one_notification_has_its_effect_once(adyen: AdyenRoom) -> None:
    number = to_be_returned(adyen)
    refusal = event(adyen, number, "CANCEL_OR_REFUND", success="false")
    for _ in range(3):
        adyen.deliver(refusal)
    assert adyen.room.attempt(number).refusals == 1
