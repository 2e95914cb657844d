"""What a card is while it is in our hands, and how little of it anyone may see.

A Card exists between the request and the vault, and between the vault and the PSP. Everything that could
print, copy or serialise it shows the mask or refuses (PCI DSS 3.4.1: at most first six and last four).
"""

from __future__ import annotations

import re
from datetime import date
from enum import StrEnum
from typing import Final, NoReturn


class CardBrand(StrEnum):
    """The networks we name to storefronts (contract section 5: cardType)."""

    VISA = "VISA"
    MASTERCARD = "MASTERCARD"
    AMEX = "AMEX"
    DISCOVER = "DISCOVER"
    DINERS = "DINERS"
    JCB = "JCB"
    MAESTRO = "MAESTRO"
    UNIONPAY = "UNIONPAY"
    OTHER = "OTHER"


# Issuer ranges of ISO/IEC 7812 as the networks publish them; first match wins.
_BRAND_RANGES: Final = (
    (CardBrand.AMEX, re.compile(r"3[47]")),
    (CardBrand.DINERS, re.compile(r"3(0[0-5]|[68])")),
    (CardBrand.JCB, re.compile(r"35(2[89]|[3-8])")),
    (CardBrand.VISA, re.compile(r"4")),
    (CardBrand.MASTERCARD, re.compile(r"5[1-5]|2(22[1-9]|2[3-9]|[3-6]|7[01]|720)")),
    (CardBrand.DISCOVER, re.compile(r"6(011|4[4-9]|5)")),
    (CardBrand.UNIONPAY, re.compile(r"62")),
    (CardBrand.MAESTRO, re.compile(r"5[06-9]|6")),
)


def brand_of(number: str) -> CardBrand:
    """The network of a PAN, by its first digits."""
    return next((brand for brand, pattern in _BRAND_RANGES if pattern.match(number)), CardBrand.OTHER)


def mask(number: str) -> str:
    """First six and last four digits, stars between: 411111******1111 (PCI DSS 3.4.1)."""
    return f"{number[:6]}{'*' * (len(number) - 10)}{number[-4:]}"


def passes_luhn(number: str) -> bool:
    """The check digit of ISO/IEC 7812-1 annex B."""
    digits = [int(digit) for digit in reversed(number)]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


_MAYBE_CARD: Final = re.compile(
    r"(?<!\d)(?:\d{12,19}|\d{4}(?:[ -]\d{4}){2,3}(?:[ -]\d{1,3})?|\d{4}[ -]\d{6}[ -]\d{5})(?!\d)"
)
"""Digits in a row, or grouped as cards print them; dates and counters in a caller's own numbers are not."""


def may_show(text: str) -> str:
    """*text* as a log line may show it: whole, unless a card number may stand in it."""
    numbers = (re.sub(r"\D", "", found) for found in _MAYBE_CARD.findall(text))
    return "withheld: looks like a card number" if any(passes_luhn(number) for number in numbers) else text


def is_past(expire_year: str, expire_month: str, *, today: date) -> bool:
    """Whether a card can no longer be used: it is good through the last day of its month."""
    return (int(expire_year), int(expire_month)) < (today.year, today.month)


class Card:
    """A card as the shopper typed it. Never printed, pickled or copied; only sealed.

    A plain class on purpose: dataclasses.asdict, vars and their kind would hand its fields to whoever asks.
    """

    __slots__ = ("alias", "cvc", "expire_month", "expire_year", "holder_name", "number")
    __hash__ = None  # type: ignore[assignment]  # A hash of a card number is a way to search for it.

    def __init__(
        self,
        holder_name: str,
        number: str,
        expire_year: str,
        expire_month: str,
        cvc: str,
        alias: str | None = None,
    ) -> None:
        self.holder_name = holder_name
        self.number = number
        self.expire_year = expire_year
        self.expire_month = expire_month
        self.cvc = cvc
        self.alias = alias

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Card) and all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    def __repr__(self) -> str:
        return f"Card({mask(self.number)})"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a card is never pickled or copied; seal it with the vault")

    def __getstate__(self) -> NoReturn:
        self.__reduce__()  # Else it would hand every field to whoever serialises by it.

    def __copy__(self) -> NoReturn:
        self.__reduce__()

    def __deepcopy__(self, memo: object) -> NoReturn:
        self.__reduce__()
