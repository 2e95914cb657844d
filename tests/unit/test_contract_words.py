"""Words of the contract that no other test happens to say: each is taken, or told, as it is spelled there."""

from __future__ import annotations

import pytest

from api.schemas.checkout import CheckoutRequest
from api.schemas.offers import BundlesRequest
from api.validation import read
from shared.domain.outcomes import Challenge
from shared.public_words import redirect_of
from tests.support.requests import changed


@pytest.mark.parametrize("channel", ["Azotte", "InappPlayStore", "InappAppStore", "ExternalPartner"])
@pytest.mark.parametrize("name", ["channel", "CH"])
def test_every_sales_channel_is_taken_under_both_names(channel: str, name: str) -> None:
    """Contract section 4."""
    asked = {"context": {"customerUrn": "cu.00.482", "interactionType": "NewAcquisition", name: channel}}
    assert read(BundlesRequest, asked).context.channel == channel


@pytest.mark.parametrize("cvc", ["123", "1234"])
def test_a_code_of_three_or_four_digits_is_taken(cvc: str) -> None:
    """Contract section 2: four on an American Express."""
    card = read(CheckoutRequest, changed("paymentMethod.creditCard.cvc", cvc)).card()
    assert card is not None
    assert card.cvc == cvc


def test_a_challenge_without_an_address_is_shown_as_html() -> None:
    """Contract section 3: redirectInstructions."""
    assert redirect_of(Challenge(None, html_content="<form></form>", three_d_identifier="3d-1")) == {
        "htmlContent": "<form></form>",
        "threeDIdentifier": "3d-1",
        "isRedirectRequired": True,
        "hasNextSteps": True,
        "showHtmlContent": True,
    }
