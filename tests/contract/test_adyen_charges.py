"""A charge at Adyen: what each published result means, one charge a key, and every amount compared."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.domain.money import Money
from shared.domain.outcomes import (
    Captured,
    Challenge,
    Challenged,
    Declined,
    DeclineReason,
    NotSent,
    Pending,
    Unanswered,
)
from shared.psp.port import Channel, ChargeQuery
from tests.contract.adyen_subject import AdyenSubject
from tests.contract.subject import RETURN_URL, a_request, came_back, query_of


def test_an_authorised_card_is_captured_at_once_for_the_amount_asked(adyen_subject: AdyenSubject) -> None:
    request = a_request(money=Money(2_998, "USD"))
    outcome = adyen_subject.psp.charge(request)
    assert isinstance(outcome, Captured)
    assert (outcome.money, outcome.kept) == (Money(2_998, "USD"), None)
    assert adyen_subject.live_captures() == [(request.merchant_reference, 2_998, "USD")]
    _, path, asked, headers = adyen_subject.fake.calls[-1]
    assert (path, asked["captureDelayHours"], asked["reference"]) == ("/payments", 0, request.merchant_reference)
    assert headers["Idempotency-Key"] == request.psp_key
    assert asked["metadata"] == {"pspKey": request.psp_key}
    assert (asked["shopperIP"], asked["shopperInteraction"]) == ("203.0.113.7", "Ecommerce")


@pytest.mark.parametrize(
    ("number", "reason", "soft"),
    [
        ("4000000000009995", DeclineReason.INSUFFICIENT_FUNDS, False),
        ("4000007700000018", DeclineReason.DO_NOT_HONOR, True),
        ("4000007700000026", DeclineReason.ISSUER_UNAVAILABLE, True),
    ],
)
def test_a_refusal_says_whether_another_psp_may_say_yes(
    adyen_subject: AdyenSubject, number: str, reason: DeclineReason, soft: bool
) -> None:
    outcome = adyen_subject.psp.charge(a_request(number))
    assert isinstance(outcome, Declined)
    assert (outcome.reason, outcome.soft) == (reason, soft)
    assert outcome.reference is not None
    assert adyen_subject.live_captures() == []


def test_a_card_number_that_cannot_be_right_is_refused_without_a_charge(adyen_subject: AdyenSubject) -> None:
    outcome = adyen_subject.psp.charge(a_request("4111111111111112"))
    assert outcome == Declined(DeclineReason.INVALID_CARD)


@pytest.mark.parametrize("channel", [Channel.CREDIT_CARD, Channel.PAYPAL, Channel.KLARNA])
def test_what_the_browser_brings_back_finishes_a_redirect(adyen_subject: AdyenSubject, channel: Channel) -> None:
    request = a_request("4000002760003184", channel=channel)
    challenged = adyen_subject.psp.charge(request)
    assert isinstance(challenged, Challenged)
    assert challenged.reference is None
    assert bool(challenged.challenge.three_d_identifier) is (channel is Channel.CREDIT_CARD)
    assert adyen_subject.live_captures() == []
    query = came_back(adyen_subject, request, adyen_subject.shopper(challenged.challenge, "approve"))
    captured = adyen_subject.psp.look_up(query)
    assert isinstance(captured, Captured)
    assert captured.money == request.money
    assert adyen_subject.psp.look_up(query) == captured
    assert len(adyen_subject.live_captures()) == 1


def test_a_result_that_adyen_does_not_know_leaves_the_payment_with_its_shopper(adyen_subject: AdyenSubject) -> None:
    request = a_request("4000002760003184")
    assert isinstance(adyen_subject.psp.charge(request), Challenged)
    forged = ChargeQuery(request.psp_key, request.merchant_reference, None, {"redirectResult": "made up"})
    assert adyen_subject.psp.look_up(forged) == Challenged(None, Challenge(None))


def test_a_payment_nothing_was_brought_back_for_cannot_be_asked_about(adyen_subject: AdyenSubject) -> None:
    request = a_request()
    adyen_subject.psp.charge(request)
    calls = len(adyen_subject.fake.calls)
    assert isinstance(adyen_subject.psp.look_up(query_of(request)), Unanswered)
    assert len(adyen_subject.fake.calls) == calls
    capabilities = adyen_subject.psp.capabilities
    assert not any((capabilities.looks_up, capabilities.proves_absence, capabilities.lists_charges))


def test_another_orders_result_is_no_answer(adyen_subject: AdyenSubject) -> None:
    request = a_request("4000002760003184")
    challenged = adyen_subject.psp.charge(request)
    assert isinstance(challenged, Challenged)
    query = came_back(adyen_subject, request, adyen_subject.shopper(challenged.challenge, "approve"))
    other = ChargeQuery(query.psp_key, "another order", None, query.brought)
    assert adyen_subject.psp.look_up(other) == Unanswered("answer does not match")


def test_a_bank_transfer_shows_the_account_and_waits_for_seven_days(adyen_subject: AdyenSubject) -> None:
    adyen_subject.fake.holds_back = True
    request = a_request(channel=Channel.BANK)
    outcome = adyen_subject.psp.charge(request)
    assert isinstance(outcome, Challenged)
    assert outcome.patience == timedelta(days=7)
    assert outcome.challenge.redirect_url is None
    shown = outcome.challenge.html_content or ""
    assert "NL13TEST0123456789" in shown
    assert "TestBeneficiary &amp; Co &lt;b&gt;" in shown
    adyen_subject.fake.work()
    event = adyen_subject.told()
    assert event.outcome == Captured(outcome.reference or "", request.money)


def test_a_direct_debit_sends_its_shopper_to_a_page_that_asks_for_the_iban(adyen_subject: AdyenSubject) -> None:
    request = a_request(channel=Channel.SEPA)
    outcome = adyen_subject.psp.charge(request)
    assert isinstance(outcome, Challenged)
    assert adyen_subject.psp.charge(request) == outcome
    assert adyen_subject.shopper(outcome.challenge, "approve") == RETURN_URL
    event = adyen_subject.told()
    assert isinstance(event.outcome, Captured)
    assert event.outcome.money == request.money
    assert adyen_subject.live_captures() == [(request.merchant_reference, 1_499, "EUR")]


def test_a_stored_direct_debit_is_pending_for_at_most_14_days(adyen_subject: AdyenSubject) -> None:
    keeps = adyen_subject.psp.charge(a_request(channel=Channel.SEPA, keep_method=True))
    assert isinstance(keeps, Challenged)
    adyen_subject.shopper(keeps.challenge, "approve")
    adyen_subject.told()
    (stored,) = [one for one in adyen_subject.fake.books.stored.values() if one.method.type == "sepadirectdebit"][-1:]
    adyen_subject.fake.holds_back = True
    pending = adyen_subject.psp.charge(a_request(channel=Channel.SEPA, token=f"{stored.id}@{stored.shopper}"))
    assert isinstance(pending, Pending)
    assert pending.patience == timedelta(days=14)


@pytest.mark.parametrize(("ours", "theirs", "currency"), [(100, 10_000, "CLP"), (1_500, 15, "IDR"), (5, 5, "JPY")])
def test_amounts_are_those_of_iso_4217_whatever_adyen_counts_in(
    adyen_subject: AdyenSubject, ours: int, theirs: int, currency: str
) -> None:
    outcome = adyen_subject.psp.charge(a_request(money=Money(ours, currency)))
    assert isinstance(outcome, Captured)
    assert outcome.money == Money(ours, currency)
    assert [row[1:] for row in adyen_subject.live_captures()] == [(theirs, currency)]


def test_a_fraction_that_adyen_cannot_name_is_a_final_no(adyen_subject: AdyenSubject) -> None:
    assert adyen_subject.psp.charge(a_request(money=Money(1_501, "IDR"))) == Declined(DeclineReason.GENERIC)
    assert adyen_subject.live_captures() == []


def test_an_order_whose_name_is_too_long_goes_by_its_key(adyen_subject: AdyenSubject) -> None:
    request = a_request(merchant_reference="x" * 255)
    assert isinstance(adyen_subject.psp.charge(request), Captured)
    event = adyen_subject.told()
    assert (event.psp_key, event.merchant_reference) == (request.psp_key, request.psp_key)


def test_wrong_credentials_send_nothing(adyen_subject: AdyenSubject) -> None:
    adyen_subject.fake.troubles.add("401")
    assert adyen_subject.psp.charge(a_request()) == NotSent("account refused")
    adyen_subject.fake.troubles.add("403")
    assert adyen_subject.psp.charge(a_request()) == NotSent("account refused")
    adyen_subject.fake.troubles.add("429")
    assert adyen_subject.psp.charge(a_request()) == NotSent("paced")
