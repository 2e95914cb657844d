"""What every adapter promises of a charge: the right shape for each verdict, and one charge a key."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from shared.domain.money import Money
from shared.domain.outcomes import Captured, Challenged, Declined, DeclineReason, Pending, Unanswered
from shared.psp.port import Channel
from tests.contract.subject import RETURN_URL, Subject, a_request, came_back, name_of, query_of
from tests.support.psp import until


def test_a_good_card_is_captured_for_the_amount_asked(subject: Subject) -> None:
    request = a_request(money=Money(2_998, "USD"))
    outcome = subject.psp.charge(request)
    assert isinstance(outcome, Captured)
    assert outcome.money == Money(2_998, "USD")
    assert outcome.kept is None
    assert subject.live_captures() == [(request.merchant_reference, 2_998, "USD")]


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        ("4000000000000002", DeclineReason.GENERIC),
        ("4000000000009995", DeclineReason.INSUFFICIENT_FUNDS),
        ("4000000000000069", DeclineReason.EXPIRED_CARD),
        ("4000000000000127", DeclineReason.INCORRECT_CVC),
        ("4000000000009987", DeclineReason.LOST_OR_STOLEN),
        ("4100000000000019", DeclineReason.SUSPECTED_FRAUD),
    ],
)
def test_a_refused_card_is_declined_in_our_words(subject: Subject, number: str, reason: DeclineReason) -> None:
    outcome = subject.psp.charge(a_request(number))
    assert isinstance(outcome, Declined)
    assert outcome.reason is reason
    assert not outcome.soft
    assert subject.live_captures() == []


@pytest.mark.parametrize("channel", [Channel.PAYPAL, Channel.KLARNA])
def test_a_wallet_waits_for_its_shopper_and_is_captured_once_approved(subject: Subject, channel: Channel) -> None:
    request = a_request(channel=channel)
    challenged = subject.psp.charge(request)
    assert isinstance(challenged, Challenged)
    if subject.psp.capabilities.looks_up:
        assert isinstance(subject.psp.look_up(query_of(request)), Challenged)
    assert subject.live_captures() == []
    # A PSP may add parameters of its own to where the browser comes back.
    came_to = subject.shopper(challenged.challenge, "approve")
    assert came_to.startswith(RETURN_URL)
    captured = subject.psp.look_up(came_back(subject, request, came_to))
    assert isinstance(captured, Captured)
    assert captured.money == request.money
    assert challenged.reference in (None, captured.reference)


def test_a_bank_transfer_is_pending_after_its_page_and_captured_later(subject: Subject) -> None:
    request = a_request(channel=Channel.BANK)
    challenged = subject.psp.charge(request)
    assert isinstance(challenged, Challenged)
    if challenged.challenge.redirect_url is None:
        assert challenged.challenge.html_content  # All the shopper needs is shown.
        assert challenged.patience == timedelta(days=7)
    else:
        subject.shopper(challenged.challenge, "approve")
        told = subject.psp.look_up(query_of(request))
        assert isinstance(told, Captured) or told == Pending(name_of(challenged), timedelta(days=7))
    assert until(lambda: isinstance(subject.verdict(request), Captured))


def test_a_direct_debit_is_pending_for_at_most_14_days_and_captured_later(subject: Subject) -> None:
    request = a_request(channel=Channel.SEPA)
    pending = subject.psp.charge(request)
    assert isinstance(pending, Challenged) is subject.asks_for_account
    if isinstance(pending, Challenged):
        assert subject.live_captures() == []
        subject.shopper(pending.challenge, "approve")
    if isinstance(pending, Challenged) and subject.psp.capabilities.looks_up:
        looked_up = subject.psp.look_up(query_of(request, pending.reference))
        # It may be here by now; that it is pending before is asked of Stripe where it cannot be (its channels).
        assert isinstance(looked_up, Captured) or looked_up == Pending(name_of(pending), timedelta(days=14))
    elif not isinstance(pending, Challenged):
        assert isinstance(pending, Pending)
        assert pending.patience == timedelta(days=14)
    assert until(lambda: isinstance(subject.verdict(request), Captured))


@pytest.mark.parametrize(
    ("number", "decision", "reason"),
    [
        ("4000002760003184", "decline", DeclineReason.AUTHENTICATION_FAILED),
        ("4000002760003184", "cancel", None),
        ("4000008400001629", "approve", DeclineReason.GENERIC),
    ],
)
def test_a_challenge_that_does_not_pass_is_declined(
    subject: Subject, number: str, decision: str, reason: DeclineReason | None
) -> None:
    request = a_request(number)
    challenged = subject.psp.charge(request)
    assert isinstance(challenged, Challenged)
    assert challenged.challenge.three_d_identifier
    came_to = subject.shopper(challenged.challenge, decision)
    declined = subject.psp.look_up(came_back(subject, request, came_to))
    assert isinstance(declined, Declined)
    assert declined.reason is (reason or subject.cancelled)
    assert challenged.reference in (None, declined.reference)
    assert subject.live_captures() == []


def test_a_passed_3ds_challenge_is_captured(subject: Subject) -> None:
    request = a_request("4000002760003184")
    challenged = subject.psp.charge(request)
    assert isinstance(challenged, Challenged)
    came_to = subject.shopper(challenged.challenge, "approve")
    captured = subject.psp.look_up(came_back(subject, request, came_to))
    assert isinstance(captured, Captured)
    assert captured.money == request.money
    assert challenged.reference in (None, captured.reference)


def test_a_repeat_under_one_key_is_one_charge_and_one_answer(subject: Subject) -> None:
    request = a_request()
    first = subject.psp.charge(request)
    assert isinstance(first, Captured)
    assert subject.psp.charge(request) == first
    assert len(subject.live_captures()) == 1


def test_a_repeat_of_a_decline_is_the_same_decline(subject: Subject) -> None:
    request = a_request("4000000000009995")
    assert subject.psp.charge(request) == subject.psp.charge(request)


def test_one_key_with_another_amount_is_unanswered_and_charges_nothing_more(subject: Subject) -> None:
    request = a_request()
    subject.psp.charge(request)
    other = a_request(psp_key=request.psp_key, merchant_reference=request.merchant_reference, money=Money(1_500, "EUR"))
    assert isinstance(subject.psp.charge(other), Unanswered)
    assert subject.live_captures() == [(request.merchant_reference, 1_499, "EUR")]


def test_twenty_calls_at_once_under_one_key_are_one_charge(subject: Subject) -> None:
    request = a_request()
    with ThreadPoolExecutor(20) as together:
        outcomes = list(together.map(lambda _: subject.psp.charge(request), range(20)))
    captured = {outcome for outcome in outcomes if isinstance(outcome, Captured)}
    assert len(captured) == 1
    assert all(isinstance(outcome, Captured | Unanswered) for outcome in outcomes)
    assert len(subject.live_captures()) == 1
