"""Which card does what here. Adyen's own test system goes by the holder's name; these numbers are the fake's choice."""

from __future__ import annotations

from typing import Final, NamedTuple


class Script(NamedTuple):
    """What becomes of a payment: refused for a published refusalReasonCode, asked for 3-D Secure, or neither."""

    refusal: str | None = None
    challenges: bool = False
    only_when_charged: bool = False


SCRIPTS: Final = {
    "4000000000000002": Script("10"),
    "4000000000009995": Script("12"),
    "4000000000000069": Script("6"),
    "4000000000000127": Script("24"),
    "4000000000009987": Script("5"),
    "4100000000000019": Script("20"),
    "4000000000000341": Script("10", only_when_charged=True),
    "4000002760003184": Script(challenges=True),
    "4000008400001629": Script("10", challenges=True),
    "4000007700000018": Script("2"),
    "4000007700000026": Script("9"),
}
REASONS: Final = {
    "2": "Refused",
    "5": "Blocked Card",
    "6": "Expired Card",
    "9": "Issuer Unavailable",
    "10": "Not supported",
    "11": "3D Not Authenticated",
    "12": "Not enough balance",
    "16": "Shopper Cancelled",
    "20": "FRAUD",
    "24": "CVC Declined",
}
BRANDS: Final = (("4", "visa"), ("5", "mc"), ("3", "amex"))


def script_of(number: str | None) -> Script:
    """What a card does; any other number is good."""
    return SCRIPTS.get(number or "", Script())


def brand_of(number: str) -> str:
    """Adyen's name of a card's brand."""
    return next((brand for first, brand in BRANDS if number.startswith(first)), "visa")
