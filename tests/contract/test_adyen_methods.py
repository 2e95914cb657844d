"""Stored methods at Adyen: kept with a charge or without one, charged, and forgotten; each belongs to its shopper."""

from __future__ import annotations

import pytest

from shared.domain.outcomes import Captured, Challenged, Declined, DeclineReason, KeptMethod, NotSent, Unanswered
from tests.contract.adyen_subject import AdyenSubject
from tests.contract.subject import a_request, came_back, card


def _kept(subject: AdyenSubject, number: str = "5555555555554444") -> KeptMethod:
    kept = subject.psp.keep_card(card(number), customer_urn="cu.00.482", psp_key=f"keep-{number}")
    assert isinstance(kept, KeptMethod)
    return kept


def test_a_charge_that_keeps_its_card_brings_a_token_and_the_mask(adyen_subject: AdyenSubject) -> None:
    outcome = adyen_subject.psp.charge(a_request(keep_method=True))
    assert isinstance(outcome, Captured)
    assert outcome.kept is not None
    kept = outcome.kept
    assert (kept.masked_number, kept.card_type) == ("411111******1111", "VISA")
    assert (kept.expire_year, kept.expire_month) == ("2029", "12")
    charged = adyen_subject.psp.charge(a_request(token=kept.token))
    assert isinstance(charged, Captured)
    assert charged.kept is None
    asked = adyen_subject.fake.calls[-1][2]
    assert (asked["shopperInteraction"], asked["recurringProcessingModel"]) == ("ContAuth", "CardOnFile")
    assert asked["paymentMethod"].keys() == {"type", "storedPaymentMethodId"}


def test_a_challenged_charge_keeps_its_card_once_it_is_captured(adyen_subject: AdyenSubject) -> None:
    request = a_request("4000002760003184", keep_method=True)
    challenged = adyen_subject.psp.charge(request)
    assert isinstance(challenged, Challenged)
    told = adyen_subject.psp.look_up(
        came_back(adyen_subject, request, adyen_subject.shopper(challenged.challenge, "approve"))
    )
    assert isinstance(told, Captured)
    assert told.kept is not None
    assert (told.kept.masked_number, told.kept.card_type) == ("400000******3184", "VISA")
    assert (told.kept.expire_year, told.kept.expire_month) == ("2029", "12")


def test_a_card_is_kept_without_a_charge(adyen_subject: AdyenSubject) -> None:
    kept = _kept(adyen_subject)
    assert (kept.masked_number, kept.card_type) == ("555555******4444", "MASTERCARD")
    assert adyen_subject.fake.calls[-1][2]["amount"] == {"currency": "EUR", "value": 0}
    assert adyen_subject.live_captures() == []
    assert isinstance(adyen_subject.psp.charge(a_request(token=kept.token)), Captured)


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        ("4000000000009995", DeclineReason.INSUFFICIENT_FUNDS),
        ("4000002760003184", DeclineReason.AUTHENTICATION_FAILED),  # It wants a challenge, and nobody is there for one.
    ],
)
def test_a_card_that_is_refused_is_not_kept(adyen_subject: AdyenSubject, number: str, reason: DeclineReason) -> None:
    refused = adyen_subject.psp.keep_card(card(number), customer_urn="cu.00.482", psp_key="k")
    assert isinstance(refused, Declined)
    assert refused.reason is reason


def test_a_shopper_whose_name_wants_escaping_is_found_again(adyen_subject: AdyenSubject) -> None:
    kept = adyen_subject.psp.keep_card(card(), customer_urn="cu/ä&b c#1", psp_key="k")
    assert isinstance(kept, KeptMethod)
    stored_id = kept.token.partition("@")[0]
    assert adyen_subject.psp.forget_token(kept.token)
    assert stored_id not in adyen_subject.fake.books.stored


def test_trouble_while_keeping_or_forgetting_is_told_apart_from_a_verdict(adyen_subject: AdyenSubject) -> None:
    kept, troubles = _kept(adyen_subject), adyen_subject.fake.troubles
    troubles.add("500", on="forget")
    assert not adyen_subject.psp.forget_token(kept.token)
    troubles.add("hang after")
    assert isinstance(adyen_subject.psp.keep_card(card(), customer_urn="cu.00.482", psp_key="lost"), Unanswered)
    troubles.add("429")
    assert isinstance(adyen_subject.psp.keep_card(card(), customer_urn="cu.00.482", psp_key="paced"), NotSent)
    assert isinstance(adyen_subject.psp.keep_card(card(), customer_urn="cu.00.482", psp_key="lost"), KeptMethod)
