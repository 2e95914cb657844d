"""What a shopper's browser brings back finishes a payment at a PSP that wants it, once, whoever carries it on."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from shared.brought import LONGEST, bound_to, open_brought, seal_brought
from shared.domain.states import OrderState
from shared.keyring import CannotOpen
from shared.patience import LOOKS_WITH_BROUGHT
from shared.store import attempts
from shared.store.attempts import AttemptState
from shared.store.engine import statements
from tests.support.adyen_fake.asks import Details
from tests.support.adyen_room import AdyenRoom
from tests.support.wire import channel
from workers.look_up import look_up
from workers.return_money import return_money
from workers.tokenize import tokenize


def its_time_is_up(adyen: AdyenRoom, number: str) -> None:
    adyen.room.sql("UPDATE orders SET deadline_at = now() WHERE tracking_number = :number", number=number)


def test_who_passes_the_challenge_and_comes_back_has_paid(adyen: AdyenRoom) -> None:
    number = adyen.challenged()
    assert adyen.comes_back(adyen.decides(number, "approve")).status_code == 200
    assert adyen.held(number) == []

    look_up(adyen.room.run, number)

    assert adyen.room.state(number) is OrderState.CAPTURED
    assert adyen.held(number) == [(1499, "EUR")]
    assert adyen.room.attempt(number).brought is None, "nobody needs it any more"


@pytest.mark.parametrize("name", ["PayPal", "Klarna"])
def test_a_wallets_shopper_who_comes_back_has_paid(adyen: AdyenRoom, name: str) -> None:
    number = adyen.paid(channel(name))
    adyen.comes_back(adyen.decides(number, "approve"))
    look_up(adyen.room.run, number)
    assert adyen.held(number) == [(1499, "EUR")]


def test_who_fails_the_challenge_has_not(adyen: AdyenRoom) -> None:
    number = adyen.challenged()
    adyen.comes_back(adyen.decides(number, "decline"))
    look_up(adyen.room.run, number)
    order = adyen.room.order(number)
    assert (order.state, order.failure) == (OrderState.FAILED, "CHALLENGE_FAILED")


def test_a_card_that_was_to_be_kept_is_stored_when_its_challenge_was_passed(adyen: AdyenRoom) -> None:
    number = adyen.challenged(storeMethodSuccessPayment="always")
    adyen.comes_back(adyen.decides(number, "approve"))
    look_up(adyen.room.run, number)
    tokenize(adyen.room.run, number)
    assert adyen.room.state(number) is OrderState.DONE
    assert adyen.room.sql(
        "SELECT masked_number FROM stored_methods WHERE tracking_number = :n", n=number
    ) == [("400000******3184",)]  # fmt: skip


def test_it_waits_sealed_and_opens_for_its_own_attempt_alone(adyen: AdyenRoom) -> None:
    number, other = adyen.challenged(), adyen.challenged()
    way_back = adyen.decides(number, "approve")
    adyen.comes_back(way_back)
    attempt = adyen.room.attempt(number)
    result = way_back.partition("redirectResult=")[2]
    assert attempt.brought is not None
    assert result.encode() not in attempt.brought
    assert open_brought(adyen.room.run.keyring, attempt) == {"redirectResult": result}
    elsewhere = bound_to(attempt.tenant_id, other, 1)
    with pytest.raises(CannotOpen):
        adyen.room.run.keyring.open(attempt.brought, bound_to=elsewhere)


def test_what_no_psp_wants_is_not_kept_and_what_is_too_long_neither(adyen: AdyenRoom) -> None:
    number = adyen.challenged()
    redirect = adyen.room.order(number).redirect
    assert redirect is not None
    way_back = adyen.decides(number, "approve").partition("&redirectResult")[0]
    for more in ("&payload=x&MD=y", "&redirectResult=", f"&redirectResult={'x' * (LONGEST + 1)}"):
        assert adyen.comes_back(way_back + more).status_code == 200
        assert adyen.room.attempt(number).brought is None


def test_a_browser_that_came_without_it_first_may_still_bring_it(adyen: AdyenRoom) -> None:
    number = adyen.challenged()
    way_back = adyen.decides(number, "approve")
    adyen.comes_back(way_back.partition("&redirectResult")[0])
    adyen.comes_back(way_back)
    look_up(adyen.room.run, number)
    assert adyen.held(number) == [(1499, "EUR")]


def test_a_process_that_dies_between_noting_it_and_asking_loses_nothing(adyen: AdyenRoom) -> None:
    """It was noted, and nobody was rung for: the shopper who loads the page again is not the first to come."""
    number = adyen.challenged()
    way_back = adyen.decides(number, "approve")
    attempt = adyen.room.attempt(number)
    sealed = seal_brought(adyen.room.run.keyring, attempt, {"redirectResult": way_back.partition("redirectResult=")[2]})
    with statements(adyen.room.run.engine) as conn:
        assert attempts.bring(conn, attempt, sealed)
    adyen.comes_back(way_back)
    [(seconds,)] = adyen.room.sql(
        "SELECT extract(epoch FROM due_at - now()) FROM orders WHERE tracking_number = :n", n=number
    )
    assert float(seconds) <= 2
    look_up(adyen.room.run, number)
    assert adyen.held(number) == [(1499, "EUR")]


def test_only_the_first_that_is_brought_counts(adyen: AdyenRoom) -> None:
    number = adyen.challenged()
    way_back = adyen.decides(number, "approve")
    adyen.comes_back(way_back)
    kept = adyen.room.attempt(number).brought
    adyen.comes_back(way_back.partition("redirectResult=")[0] + "redirectResult=another")
    assert adyen.room.attempt(number).brought == kept


def test_a_state_of_another_order_brings_nothing(adyen: AdyenRoom) -> None:
    number, other = adyen.challenged(), adyen.challenged()
    way_back = adyen.decides(number, "approve")
    assert adyen.comes_back(way_back.replace(number, other)).status_code == 400
    assert adyen.room.attempt(other).brought is None


def test_a_result_that_was_made_up_changes_nothing_while_the_shopper_has_time(adyen: AdyenRoom) -> None:
    number = adyen.challenged()
    way_back = adyen.decides(number, "approve").partition("redirectResult=")[0]
    adyen.comes_back(f"{way_back}redirectResult=forged")
    version = adyen.room.order(number).version
    look_up(adyen.room.run, number)
    assert adyen.room.order(number).version == version


@pytest.mark.parametrize("trouble", ["drop after", "500 after", "malformed"])
def test_an_answer_that_gets_lost_is_asked_for_again_under_one_key(adyen: AdyenRoom, trouble: str) -> None:
    number = adyen.challenged()
    adyen.comes_back(adyen.decides(number, "approve"))
    adyen.fake.troubles.add(trouble, on="details")
    look_up(adyen.room.run, number)
    assert adyen.room.state(number) is OrderState.CHALLENGE
    look_up(adyen.room.run, number)
    assert adyen.room.state(number) is OrderState.CAPTURED
    assert adyen.held(number) == [(1499, "EUR")]


def test_who_came_back_in_time_has_paid_though_the_psp_was_away_until_later(adyen: AdyenRoom) -> None:
    number = adyen.challenged()
    adyen.comes_back(adyen.decides(number, "approve"))
    its_time_is_up(adyen, number)
    adyen.fake.troubles.add("drop", on="details", times=2)
    for _ in range(2):
        look_up(adyen.room.run, number)
        assert adyen.room.state(number) is OrderState.CONFIRMING
    look_up(adyen.room.run, number)
    assert adyen.room.state(number) is OrderState.CAPTURED


def test_a_challenge_whose_time_is_over_ends_and_what_is_captured_after_it_goes_back(adyen: AdyenRoom) -> None:
    number = adyen.challenged()
    way_back = adyen.decides(number, "approve")
    its_time_is_up(adyen, number)

    look_up(adyen.room.run, number)

    order = adyen.room.order(number)
    assert (order.state, order.failure) == (OrderState.FAILED, "CHALLENGE_EXPIRED")
    assert adyen.comes_back(way_back).status_code == 200
    look_up(adyen.room.run, number)
    assert adyen.held(number) == [], "nobody told the PSP what was brought back"

    _captured_all_the_same(adyen, number, way_back)
    assert adyen.held(number) == [(1499, "EUR")]
    adyen.deliver_all("AUTHORISATION")
    assert adyen.room.attempt(number).outcome is AttemptState.RETURNING
    return_money(adyen.room.run, number)
    adyen.fake.work()
    adyen.deliver_all("CANCEL_OR_REFUND")
    assert adyen.held(number) == []
    assert adyen.room.attempt(number).outcome is AttemptState.RETURNED


def test_its_offer_may_be_ordered_again_once_it_was_given_up(adyen: AdyenRoom) -> None:
    number = adyen.challenged()
    its_time_is_up(adyen, number)
    look_up(adyen.room.run, number)
    assert adyen.room.sql("SELECT 1 FROM offer_holds WHERE tracking_number = :n", n=number) == []


def test_what_was_brought_back_in_vain_for_an_hour_is_given_up(adyen: AdyenRoom) -> None:
    number = adyen.challenged()
    adyen.comes_back(adyen.decides(number, "approve"))
    its_time_is_up(adyen, number)
    adyen.fake.troubles.add("drop", on="details", times=LOOKS_WITH_BROUGHT + 5)
    for _ in range(LOOKS_WITH_BROUGHT + 1):
        look_up(adyen.room.run, number)
        assert adyen.room.state(number) is OrderState.CONFIRMING
    look_up(adyen.room.run, number)
    assert adyen.room.state(number) is OrderState.FAILED


def test_a_page_the_shopper_let_expire_is_told_and_fails_the_order(adyen: AdyenRoom) -> None:
    number = adyen.paid(channel("PayPal"))
    [payment] = adyen.payments(number)
    event = {
        "eventCode": "OFFER_CLOSED",
        "pspReference": payment.psp_reference,
        "merchantReference": number,
        "amount": {"currency": "EUR", "value": 1499},
    }
    adyen.deliver(adyen.fake.body(adyen.room.account, event))
    order = adyen.room.order(number)
    assert (order.state, order.failure) == (OrderState.FAILED, "CHALLENGE_FAILED")


def test_a_bank_transfer_waits_for_seven_days_with_its_account_on_show(adyen: AdyenRoom) -> None:
    number = adyen.paid(channel("Bank"))
    order = adyen.room.order(number)
    assert order.state is OrderState.CHALLENGE
    assert order.redirect is not None
    assert "NL13TEST0123456789" in order.redirect["htmlContent"]
    [(days,)] = adyen.room.sql(
        "SELECT extract(epoch FROM deadline_at - now()) / 86400 FROM orders WHERE tracking_number = :n", n=number
    )
    assert 6.9 < float(days) <= 7
    adyen.fake.work()
    adyen.deliver_all("AUTHORISATION")
    assert adyen.room.state(number) is OrderState.CAPTURED


def test_a_transfer_that_never_came_is_asked_back_when_its_days_are_over(adyen: AdyenRoom) -> None:
    number = adyen.paid(channel("Bank"))
    its_time_is_up(adyen, number)
    look_up(adyen.room.run, number)
    assert adyen.room.state(number) is OrderState.FAILED
    attempt = adyen.room.attempt(number)
    assert attempt.outcome is AttemptState.RETURNING
    assert adyen.asked(f"/payments/{attempt.psp_reference}/reversals") == 1


def test_no_row_of_the_database_holds_what_was_brought_readably(adyen: AdyenRoom) -> None:
    number = adyen.challenged()
    way_back = adyen.decides(number, "approve")
    adyen.comes_back(way_back)
    result = way_back.partition("redirectResult=")[2]
    assert adyen.room.attempt(number).brought is not None
    with adyen.room.owner.connect() as conn:
        rows = conn.execute(text("SELECT t::text FROM payment_attempts t UNION ALL SELECT o::text FROM orders o"))
        told = [row for (row,) in rows]
    assert number in "".join(told)
    for readable in (result, result.encode().hex()):  # Bytes are told as hexadecimal digits.
        assert not any(readable in row for row in told)


def _captured_all_the_same(adyen: AdyenRoom, number: str, way_back: str) -> None:
    """As a wallet may: the PSP takes the money though nobody told it what was brought back."""
    [payment] = adyen.payments(number)
    result = way_back.partition("redirectResult=")[2]
    adyen.fake.till.finish(payment.merchant, Details.model_validate({"details": {"redirectResult": result}}))
