"""How each channel is paid at Stripe, and what an account keeps there for the next order."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest

from shared.domain.money import Money
from shared.domain.outcomes import (
    Captured,
    Challenged,
    Declined,
    DeclineReason,
    Pending,
    Returned,
    Unanswered,
)
from shared.psp.http import Http
from shared.psp.port import Channel, ChargePage, ChargeRequest, PspEvent
from shared.psp.stripe import StripePsp
from shared.psp.stripe_money import from_stripe, to_stripe
from tests.contract.stripe_subject import StripeSubject
from tests.contract.subject import RETURN_URL, a_request, name_of, query_of
from tests.support.psp import until


def _challenged(subject: StripeSubject, **changes: Any) -> tuple[ChargeRequest, Challenged]:
    request = a_request(**changes)
    outcome = subject.psp.charge(request)
    assert isinstance(outcome, Challenged)
    return request, outcome


def _paths(subject: StripeSubject) -> list[str]:
    key = subject.account.credentials["apiKey"]
    return [
        url for verb, url, headers, _ in subject.fake.requests if verb == "POST" and key in headers["authorization"]
    ]


@pytest.mark.parametrize(
    ("channel", "keep", "path"),
    [
        (Channel.PAYPAL, False, "/v1/payment_intents"),
        (Channel.BANK, True, "/v1/payment_intents"),
        (Channel.PAYPAL, True, "/v1/checkout/sessions"),
        (Channel.KLARNA, True, "/v1/checkout/sessions"),
        (Channel.SEPA, False, "/v1/checkout/sessions"),
    ],
)
def test_what_stripe_must_ask_the_shopper_for_is_asked_on_its_own_page(
    stripe_subject: StripeSubject, channel: Channel, keep: bool, path: str
) -> None:
    _, challenged = _challenged(stripe_subject, channel=channel, keep_method=keep)
    assert _paths(stripe_subject)[-1] == path
    assert name_of(challenged).startswith("pi_")


@pytest.mark.parametrize("channel", [Channel.KLARNA, Channel.SEPA])
def test_an_open_page_is_found_by_our_key_with_its_address(stripe_subject: StripeSubject, channel: Channel) -> None:
    request, challenged = _challenged(stripe_subject, channel=channel)
    assert stripe_subject.psp.look_up(query_of(request)) == challenged
    assert stripe_subject.psp.charge(request) == challenged


def test_a_shopper_who_was_refused_on_the_page_may_try_again_there(stripe_subject: StripeSubject) -> None:
    """So that refusal is no verdict, neither by look-up nor by event."""
    request, challenged = _challenged(stripe_subject, channel=Channel.KLARNA)
    stripe_subject.shopper(challenged.challenge, "decline")
    assert stripe_subject.psp.look_up(query_of(request)) == challenged
    assert stripe_subject.shopper(challenged.challenge, "cancel") == RETURN_URL
    assert stripe_subject.psp.look_up(query_of(request)) == challenged
    stripe_subject.shopper(challenged.challenge, "approve")
    captured = Captured(name_of(challenged), request.money)
    assert stripe_subject.psp.look_up(query_of(request)) == captured
    told = [_read(stripe_subject).outcome for _ in range(2)]
    assert told == [None, captured]


def test_a_void_closes_the_page_and_nothing_is_captured_there_after_it(stripe_subject: StripeSubject) -> None:
    request, challenged = _challenged(stripe_subject, channel=Channel.SEPA)
    assert stripe_subject.psp.void(name_of(challenged), psp_key="v") == Returned(name_of(challenged), refunded=False)
    stripe_subject.shopper(challenged.challenge, "approve")
    assert stripe_subject.live_captures() == []
    assert stripe_subject.psp.look_up(query_of(request)) == Returned(name_of(challenged), refunded=False)
    assert stripe_subject.psp.void(name_of(challenged), psp_key="v") == Returned(name_of(challenged), refunded=False)


def test_a_void_of_a_page_whose_answers_are_lost_is_unanswered_and_can_be_said_again(
    stripe_subject: StripeSubject,
) -> None:
    _, challenged = _challenged(stripe_subject, channel=Channel.KLARNA)
    for trouble in ("drop", "malformed"):
        stripe_subject.fake.faults.add(trouble, on="lookUp")
        assert isinstance(stripe_subject.psp.void(name_of(challenged), psp_key="v"), Unanswered)
    assert stripe_subject.psp.void(name_of(challenged), psp_key="v") == Returned(name_of(challenged), refunded=False)


def test_a_debit_on_its_way_cannot_be_voided_and_is_refunded_once_it_is_here(stripe_subject: StripeSubject) -> None:
    stripe_subject.fake.settle_s = 60.0
    request, challenged = _challenged(stripe_subject, channel=Channel.SEPA)
    stripe_subject.shopper(challenged.challenge, "approve")
    assert stripe_subject.live_captures() == []
    assert stripe_subject.psp.look_up(query_of(request)) == Pending(name_of(challenged), timedelta(days=14))
    assert isinstance(stripe_subject.psp.void(name_of(challenged), psp_key="v"), Unanswered)
    captured = Captured(name_of(challenged), request.money)
    books = stripe_subject.fake.books_of(stripe_subject.account)
    with stripe_subject.fake.lock:
        stripe_subject.fake.intents.moves.take(books, books.intents[name_of(challenged)])
    assert stripe_subject.psp.look_up(query_of(request)) == captured
    assert stripe_subject.psp.void(name_of(challenged), psp_key="v") == captured


def test_a_debit_that_comes_back_is_declined(stripe_subject: StripeSubject) -> None:
    stripe_subject.fake.settle_s = 60.0
    request, challenged = _challenged(stripe_subject, channel=Channel.SEPA)
    stripe_subject.shopper(challenged.challenge, "approve")
    assert isinstance(_read(stripe_subject).outcome, Pending)
    books = stripe_subject.fake.books_of(stripe_subject.account)
    with stripe_subject.fake.lock:
        (session,) = books.sessions.values()
        stripe_subject.fake.sessions.fail_later(books, session, "insufficient_funds")
    declined = Declined(DeclineReason.INSUFFICIENT_FUNDS, name_of(challenged))
    assert stripe_subject.psp.look_up(query_of(request)) == declined
    told = [_read(stripe_subject).outcome for _ in range(2)]
    assert told == [None, Declined(DeclineReason.GENERIC, name_of(challenged))]


def test_the_details_of_a_transfer_are_a_challenge_first_and_awaited_for_a_week_then(
    stripe_subject: StripeSubject,
) -> None:
    stripe_subject.fake.settle_s = 60.0
    request, challenged = _challenged(stripe_subject, channel=Channel.BANK)
    assert challenged.challenge.redirect_url is not None
    assert _read(stripe_subject).outcome == challenged  # Else its shopper would lose the page.
    pending = Pending(name_of(challenged), timedelta(days=7))
    assert stripe_subject.psp.look_up(query_of(request)) == pending
    assert stripe_subject.psp.void(name_of(challenged), psp_key="v") == Returned(name_of(challenged), refunded=False)


def test_euros_are_transferred_to_the_country_the_account_names(stripe_subject: StripeSubject, http: Http) -> None:
    for named, country in (({}, "DE"), ({"bankTransferCountry": "NL"}, "NL")):
        account = stripe_subject.account
        psp = StripePsp(replace(account, credentials={**account.credentials, **named}), http)
        assert isinstance(psp.charge(a_request(channel=Channel.BANK)), Challenged)
        asked = parse_qs(stripe_subject.fake.requests[-1][3].decode())
        transfer = "payment_method_options[customer_balance][bank_transfer]"
        assert asked[f"{transfer}[eu_bank_transfer][country]"] == [country]


@pytest.mark.parametrize("currency", ["GBP", "USD", "JPY", "CHF"])
def test_other_currencies_are_transferred_by_their_own_scheme_or_refused_by_stripe(
    stripe_subject: StripeSubject, currency: str
) -> None:
    outcome = stripe_subject.psp.charge(a_request(channel=Channel.BANK, money=Money(1_499, currency)))
    assert isinstance(outcome, Declined if currency == "CHF" else Challenged)


@pytest.mark.parametrize("channel", [Channel.PAYPAL, Channel.SEPA])
def test_a_method_kept_on_the_page_is_charged_without_it(stripe_subject: StripeSubject, channel: Channel) -> None:
    request, challenged = _challenged(stripe_subject, channel=channel, keep_method=True)
    stripe_subject.shopper(challenged.challenge, "approve")
    told = until(lambda: isinstance(found := stripe_subject.psp.look_up(query_of(request)), Captured) and found)
    assert isinstance(told, Captured)
    assert told.kept is not None
    again = stripe_subject.psp.charge(a_request(channel=channel, token=told.kept.token))
    assert isinstance(again, Pending if channel is Channel.SEPA else Captured)


def test_a_stored_card_may_be_challenged_by_its_bank(stripe_subject: StripeSubject) -> None:
    request = a_request("4000002760003184", keep_method=True)
    challenged = stripe_subject.psp.charge(request)
    assert isinstance(challenged, Challenged)
    stripe_subject.shopper(challenged.challenge, "approve")
    told = stripe_subject.psp.look_up(query_of(request))
    assert isinstance(told, Captured)
    assert told.kept is not None
    assert told.kept.masked_number == "************3184"  # Stripe tells no more of a number it was sent before.
    assert isinstance(stripe_subject.psp.charge(a_request(token=told.kept.token)), Challenged)


def test_a_shopper_has_one_customer_however_many_cards_are_kept(stripe_subject: StripeSubject) -> None:
    for urn in ("cu.1", "cu.1", "cu.2"):
        stripe_subject.psp.charge(a_request(keep_method=True, customer_urn=urn))
    customers = stripe_subject.fake.books_of(stripe_subject.account).customers.values()
    assert [one["metadata"] for one in customers] == [{"customerUrn": "cu.1"}, {"customerUrn": "cu.2"}]


@pytest.mark.parametrize(
    ("money", "amount"),
    [
        (Money(1_499, "EUR"), 1_499),
        (Money(500, "JPY"), 500),
        (Money(5, "ISK"), 500),
        (Money(5, "UGX"), 500),
        (Money(500, "MGA"), 5),
        (Money(5_130, "KWD"), 5_130),
    ],
)
def test_an_amount_is_what_stripe_means_by_it_and_back(
    stripe_subject: StripeSubject, money: Money, amount: int
) -> None:
    assert to_stripe(money) == amount
    captured = stripe_subject.psp.charge(a_request(money=money))
    assert isinstance(captured, Captured)
    assert captured.money == money
    ((_, charged, currency),) = stripe_subject.live_captures()
    assert (charged, currency) == (amount, money.currency)
    back = Returned(captured.reference, refunded=True)
    assert stripe_subject.psp.refund(captured.reference, money, psp_key="r") == back


def test_an_amount_stripe_has_no_word_for_is_refused_and_never_rounded(stripe_subject: StripeSubject) -> None:
    assert to_stripe(Money(501, "MGA")) is None
    assert from_stripe(501, "isk") is None
    assert stripe_subject.psp.charge(a_request(money=Money(501, "MGA"))) == Declined(DeclineReason.GENERIC)
    assert isinstance(stripe_subject.psp.refund("pi_1", Money(501, "MGA"), psp_key="r"), Unanswered)
    assert _paths(stripe_subject) == []


def test_many_charges_come_page_by_page_the_newest_page_first_each_once(stripe_subject: StripeSubject) -> None:
    asked = [a_request(channel=Channel.PAYPAL) for _ in range(130)]
    for request in asked:
        stripe_subject.psp.charge(request)
    since = datetime.now(UTC) - timedelta(hours=1)
    first = stripe_subject.psp.charges_since(since)
    assert isinstance(first, ChargePage)
    assert [one.psp_key for one in first.charges] == [one.psp_key for one in asked[30:]]
    second = stripe_subject.psp.charges_since(since, after=first.next)
    assert isinstance(second, ChargePage)
    assert [one.psp_key for one in second.charges] == [one.psp_key for one in asked[:30]]
    assert second.next is None


def test_a_charge_of_somebody_else_in_the_account_is_listed_without_a_name(
    stripe_subject: StripeSubject, http: Http
) -> None:
    books = stripe_subject.fake.books_of(stripe_subject.account)
    captured = stripe_subject.psp.charge(a_request())
    assert isinstance(captured, Captured)
    books.intents[captured.reference]["metadata"] = {}
    page = stripe_subject.psp.charges_since(datetime.now(UTC) - timedelta(hours=1))
    assert isinstance(page, ChargePage)
    (record,) = page.charges
    assert (record.psp_key, record.merchant_reference, record.outcome) == ("", "", captured)


def _read(subject: StripeSubject) -> PspEvent:
    hook = subject.hooks.next()
    return subject.psp.read_event(hook.headers, hook.body, now=datetime.now(UTC))
