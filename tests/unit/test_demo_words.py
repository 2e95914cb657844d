"""The shop page has words for everything that can happen to an order, and its test cards do what it says they do."""

from __future__ import annotations

from typing import Final

import pytest

from api.demo import words
from api.demo.cards import OFFERED, TestCard
from api.demo.form import card_of
from deploy.sandbox.cards import BEHAVIOURS
from shared.client import CheckoutResult, OfferAtFault, PaymentAtFault
from shared.client.remedies import REMEDIES
from shared.domain.cards import passes_luhn
from shared.domain.outcomes import DeclineReason
from shared.domain.states import CheckoutCode
from shared.public_words import word_of

FAILURES: Final = (
    "OFFER_EXPIRED",
    "OFFER_ALREADY_ORDERED",
    "CARD_DATA_UNAVAILABLE",
    "CHALLENGE_EXPIRED",
    "CHALLENGE_FAILED",
    "CANCELLED",
)
"""Contract section 3, beside the two that come with a reason."""
NOT_AT_CHECKOUT: Final = frozenset(
    {"NO_OFFER_FOUND", "INVALID_PROMOTION_CODE", "STOREFRONT_NOT_FOUND", "CUSTOMER_NOT_FOUND", "CARD_DECLINED"}
)
"""Codes of the other routes."""


def an_order(code: str, message: str | None = None) -> CheckoutResult:
    told = {"trackingNumber": "trk_1", "status": {"messageCode": code}, "followUpInstructions": {"canFollowUp": False}}
    return CheckoutResult.model_validate(told | {"message": message})


def test_whatever_a_shopper_can_help_is_said_in_words_of_its_own() -> None:
    theirs = {code for code, (kind, _) in REMEDIES.items() if issubclass(kind, OfferAtFault | PaymentAtFault)}

    assert theirs - NOT_AT_CHECKOUT <= words.OF_REFUSALS.keys()
    assert words.OF_REFUSALS.keys() <= REMEDIES.keys()


def test_what_no_shopper_can_help_is_not_said_to_be_their_fault() -> None:
    for code in ("FORBIDDEN", "UNAUTHORIZED", "A_CODE_OF_TOMORROW"):
        assert "our fault" in words.of_refusal(code).text


@pytest.mark.parametrize("message", FAILURES)
def test_every_failure_says_what_happened_and_what_became_of_the_money(message: str) -> None:
    said = words.of_order(an_order(CheckoutCode.FAILED, message))

    assert said != words.of_failure("")
    assert "charged" in said.text
    assert "_" not in said.title + said.text


@pytest.mark.parametrize("reason", DeclineReason)
@pytest.mark.parametrize("what", ["CARD_DECLINED", "PAYMENT_REFUSED"])
def test_every_decline_says_why_and_that_nothing_was_charged(what: str, reason: DeclineReason) -> None:
    said = words.of_order(an_order(CheckoutCode.FAILED, word_of(what, reason)))

    assert said.text.endswith("Nothing was charged. Please try another card.")
    assert not said.text.startswith("Nothing")
    assert "_" not in said.text


@pytest.mark.parametrize("reason", [DeclineReason.LOST_OR_STOLEN, DeclineReason.SUSPECTED_FRAUD])
def test_a_thief_hears_no_more_than_that_it_was_declined(reason: DeclineReason) -> None:
    generic = word_of("CARD_DECLINED", DeclineReason.GENERIC)
    assert words.of_failure(word_of("CARD_DECLINED", reason)) == words.of_failure(generic)


def test_an_order_that_goes_on_is_told_as_one_whatever_its_code() -> None:
    told = {code: words.of_order(an_order(code)) for code in (*CheckoutCode, "A_CODE_OF_TOMORROW")}

    assert len({said.title for said in told.values()}) == len(CheckoutCode)
    assert told["A_CODE_OF_TOMORROW"] == told[CheckoutCode.PROCESSING]
    assert words.of_order(an_order(CheckoutCode.FAILED, "A_WORD_OF_TOMORROW: because")).tone == "bad"


@pytest.mark.parametrize("card", OFFERED, ids=lambda card: card.name)
def test_a_test_card_is_one_of_the_sandboxs_and_does_what_it_is_said_to_do(card: TestCard) -> None:
    [behaviour] = [one for one in BEHAVIOURS if card.number in one.cards]

    assert behaviour.name == card.behaviour
    assert passes_luhn(card.number)
    assert ("ecline" in card.does) == (behaviour.decline is not None or "declined" in behaviour.name)
    assert ("bank" in card.does) == (behaviour.script is not None)


def test_a_card_is_read_with_the_gaps_that_cards_are_printed_with() -> None:
    typed = {"number": "4111 1111-1111 1111", "holder": " Jane Doe ", "month": "12", "year": "2029", "cvc": " 123 "}
    card = card_of(typed)

    assert (card.number, card.holder_name, card.cvc) == ("4111111111111111", "Jane Doe", "123")
