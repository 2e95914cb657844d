"""How news that does not name our key finds its attempt: by its charge, or by the order's name where that is clear."""

from __future__ import annotations

from dataclasses import replace
from secrets import token_hex
from typing import Any

from shared.domain.outcomes import Challenge, Challenged
from shared.domain.states import OrderState
from shared.store import attempts
from shared.store.attempts import Attempt, AttemptState
from shared.store.engine import statements
from tests.support.adyen_room import AdyenRoom
from tests.support.attempt_rows import write_ahead
from workers.release import Releases


def told(adyen: AdyenRoom, number: str, *, key: str | None = None, **changes: Any) -> bytes:
    """An authorisation of an order, with our key as the metadata repeat it if *key* says so."""
    event = {
        "eventCode": "AUTHORISATION",
        "pspReference": token_hex(8).upper(),
        "merchantReference": number,
        "amount": {"currency": "EUR", "value": 1499},
    }
    extra = {} if key is None else {"metadata.pspKey": key}
    return adyen.fake.body(adyen.room.account, event | changes, extra)


def parked(adyen: AdyenRoom) -> int:
    tenant_id = adyen.room.seller.shop.tenant_id
    [(waiting,)] = adyen.room.sql(
        "SELECT count(*) FROM psp_events WHERE tenant_id = :t AND settled_at IS NULL", t=tenant_id
    )
    return int(waiting)


def another(adyen: AdyenRoom, attempt: Attempt, **changes: Any) -> Attempt:
    """Another order's attempt under the same order name, written ahead."""
    number = adyen.room.locked()
    fresh = replace(attempt, tracking_number=number, psp_key=token_hex(20), psp_reference=None, **changes)
    with adyen.room.run.engine.begin() as conn:
        write_ahead(conn, fresh)
    return fresh


def test_the_orders_name_is_enough_where_one_attempt_has_it(adyen: AdyenRoom) -> None:
    number = adyen.unanswered()
    adyen.deliver(told(adyen, number))
    assert adyen.room.state(number) is OrderState.CAPTURED


def test_a_key_outside_the_signature_leads_nowhere_if_the_signed_name_does_not_agree(adyen: AdyenRoom) -> None:
    """Somebody who can repeat what Adyen signed must not choose which order it pays; the true one still counts."""
    victim, number = adyen.unanswered(), adyen.unanswered()
    charge = token_hex(8).upper()
    adyen.deliver(told(adyen, number, key=adyen.room.attempt(victim).psp_key, pspReference=charge))
    assert [adyen.room.state(one) for one in (victim, number)] == [OrderState.CONFIRMING] * 2
    assert Releases().round(adyen.room.run) == 0

    adyen.deliver(told(adyen, number, key=adyen.room.attempt(number).psp_key, pspReference=charge))
    assert adyen.room.state(number) is OrderState.CAPTURED
    assert adyen.room.state(victim) is OrderState.CONFIRMING


def test_news_of_another_key_is_not_settled_by_the_orders_name(adyen: AdyenRoom) -> None:
    """It is of another attempt, which is not known yet."""
    number = adyen.unanswered()
    adyen.deliver(told(adyen, number, key=token_hex(20)))
    assert adyen.room.state(number) is OrderState.CONFIRMING


def test_an_order_whose_name_was_too_long_to_send_goes_by_its_key(adyen: AdyenRoom) -> None:
    number = adyen.unanswered()
    key = adyen.room.attempt(number).psp_key
    adyen.room.sql(
        "UPDATE payment_attempts SET merchant_reference = :long WHERE psp_key = :key", long="x" * 200, key=key
    )
    adyen.deliver(told(adyen, key))
    assert adyen.room.state(number) is OrderState.CAPTURED


def test_of_two_attempts_of_one_name_the_unsettled_one_is_meant(adyen: AdyenRoom) -> None:
    number = adyen.unanswered()
    other = another(adyen, adyen.room.attempt(number))
    adyen.room.sql("UPDATE payment_attempts SET outcome = 'declined' WHERE psp_key = :k", k=other.psp_key)
    adyen.deliver(told(adyen, number))
    assert adyen.room.state(number) is OrderState.CAPTURED


def test_where_two_may_be_meant_nobody_guesses_and_the_key_decides(adyen: AdyenRoom) -> None:
    number = adyen.unanswered()
    other, before = another(adyen, adyen.room.attempt(number)), parked(adyen)
    adyen.deliver(told(adyen, number))
    assert adyen.room.state(number) is OrderState.CONFIRMING
    assert parked(adyen) == before + 1
    assert Releases().round(adyen.room.run) == 0
    assert parked(adyen) == before + 1

    adyen.deliver(told(adyen, number, key=adyen.room.attempt(number).psp_key))
    assert adyen.room.state(number) is OrderState.CAPTURED
    adyen.room.sql("UPDATE payment_attempts SET outcome = 'declined' WHERE psp_key = :k", k=other.psp_key)
    assert Releases().round(adyen.room.run) == 1, "by now only one is left whose charge has no name: it goes back"


def test_news_of_a_charge_that_has_a_name_is_never_settled_for_another(adyen: AdyenRoom) -> None:
    """The order's name alone would lead to the paid attempt; its charge has another reference."""
    number = adyen.paid()
    adyen.deliver(told(adyen, number))
    assert [one.outcome for one in adyen.room.attempts(number)] == [AttemptState.CAPTURED]
    assert parked(adyen) >= 1


def test_a_parked_return_is_released_once_its_charge_is_known(adyen: AdyenRoom) -> None:
    number = adyen.unanswered()
    [payment] = adyen.payments(number)
    back = told(
        adyen, "a name of the merchant's", eventCode="CANCEL_OR_REFUND", originalReference=payment.psp_reference
    )
    adyen.deliver(back)
    before = parked(adyen)
    adyen.room.tell(adyen.room.attempt(number), Challenged(payment.psp_reference, Challenge(None)), actor="test")
    assert Releases().round(adyen.room.run) == 1
    assert parked(adyen) == before - 1
    assert adyen.room.state(number) is OrderState.FAILED


def test_another_tenants_charge_of_the_same_reference_is_not_found(adyen: AdyenRoom) -> None:
    number = adyen.paid()
    attempt = adyen.room.attempt(number)
    with statements(adyen.room.run.engine) as conn:
        ours = attempts.told_of(
            conn, attempt.tenant_id, "adyen", psp_key=None, reference=attempt.psp_reference, merchant_reference=None
        )
        elsewhere = attempts.told_of(
            conn, attempt.tenant_id, "sandbox", psp_key=attempt.psp_key, reference=attempt.psp_reference,
            merchant_reference=number,
        )  # fmt: skip
    assert ours is not None
    assert elsewhere is None
