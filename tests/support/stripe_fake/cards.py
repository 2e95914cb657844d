"""Stripe's published test cards (docs.stripe.com/testing) and what each does.

Any other number is refused as test mode refuses it. 4111111111111111 is not in the table; the published examples of our
own API use it, and test mode takes it for the Visa it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Refusal:
    """The code of an error and, where the issuer gave one, its own."""

    code: str
    decline_code: str | None = None


@dataclass(frozen=True, slots=True)
class TestCard:
    """What becomes of a charge of one number."""

    brand: str = "visa"
    refusal: Refusal | None = None
    keepable: bool = True
    """Whether it can be attached to a customer, for which the issuer is asked as well."""
    challenges: bool = False


_DECLINED: Final = Refusal("card_declined", "generic_decline")
_POOR: Final = Refusal("card_declined", "insufficient_funds")


def _refused(code: str, decline_code: str | None = None) -> TestCard:
    return TestCard(refusal=Refusal(code, decline_code), keepable=False)


CARDS: Final[dict[str, TestCard]] = {
    "4242424242424242": TestCard(),
    "4111111111111111": TestCard(),
    "5555555555554444": TestCard("mastercard"),
    "2223003122003222": TestCard("mastercard"),
    "378282246310005": TestCard("amex"),
    "6011111111111117": TestCard("discover"),
    "3056930009020004": TestCard("diners"),
    "3566002020360505": TestCard("jcb"),
    "6200000000000005": TestCard("unionpay"),
    "4000000000000002": _refused("card_declined", "generic_decline"),
    "4000000000009995": _refused("card_declined", "insufficient_funds"),
    "4000000000009987": _refused("card_declined", "lost_card"),
    "4000000000009979": _refused("card_declined", "stolen_card"),
    "4000000000000069": _refused("expired_card"),
    "4000000000000127": _refused("incorrect_cvc"),
    "4000000000000119": _refused("processing_error"),
    "4000000000006975": _refused("card_declined", "card_velocity_exceeded"),
    "4100000000000019": _refused("card_declined", "fraudulent"),
    "4000000000000341": TestCard(refusal=_DECLINED),
    "4000002760003184": TestCard(challenges=True),
    "4000000000003220": TestCard(challenges=True),
    "4000000000003063": TestCard(challenges=True),
    "4000008400001629": TestCard(refusal=_DECLINED, challenges=True),
    "4000008260003178": TestCard(refusal=_POOR, challenges=True),
}


def of(number: str) -> TestCard:
    """What *number* does."""
    return CARDS.get(number, _refused("card_declined", "test_mode_live_card"))
