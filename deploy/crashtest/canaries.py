"""Cards to be found again: numbers and holders that nobody else has, all of one test BIN, so that a scan is quick.

What the sandbox PSP does with one is said by its ninth and tenth digit (deploy/sandbox/README.md).
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import date
from typing import Final

from deploy.sandbox.cards import BY_NAME, CANARY_BIN, code_of, of_card
from shared.domain.cards import passes_luhn

LENGTH: Final = 19
"""The longest a PAN may be (ISO/IEC 7812-1): eight random digits, which no other run has."""
HOLDER: Final = "Canary "
YEAR, MONTH, CVC = "2087", "11", "9731"
"""An expiry nobody types, and one code for all: four digits stand everywhere, so they are looked for in context."""


@dataclass(frozen=True, slots=True)
class Canary:
    """One typed card. Its expiry and code are those of all."""

    number: str
    holder: str

    @property
    def secrets(self) -> frozenset[str]:
        """Every text that may stand nowhere: the number, the holder, and the code in each context it travels in."""
        return frozenset({self.number, self.holder, *CODES})


CODES: Final = (
    f'cvc":"{CVC}"',
    f'cvc": "{CVC}"',
    f"cvc': '{CVC}'",
    f"cvc='{CVC}'",
    f"cvc={CVC}",
    f'"{YEAR}", "{MONTH}", "{CVC}"',
)
"""The code as JSON, as Python shows a dictionary or an object, as a form spells it, and in the vault's plaintext."""


def number(behaviour: str = "success") -> str:
    """A new card number with which the sandbox PSP does *behaviour*, a name of its table."""
    return _ended(f"{CANARY_BIN}{code_of(BY_NAME[behaviour]):02}", good=True)


def like(published: str) -> str:
    """A new card number with which the sandbox PSP does what it does with *published*, a test card of its table."""
    return number(of_card(published, YEAR, MONTH, today=date.min).name)


def bad_number() -> str:
    """A new card number whose check digit is wrong."""
    return _ended(f"{CANARY_BIN}00", good=False)


def canary(behaviour: str = "success") -> Canary:
    """A new card with which the sandbox PSP does *behaviour*."""
    return Canary(number(behaviour), HOLDER + secrets.token_hex(6))


def _ended(begun: str, *, good: bool) -> str:
    digits = begun + "".join(str(secrets.randbelow(10)) for _ in range(LENGTH - len(begun) - 1))
    return next(digits + last for last in "0123456789" if passes_luhn(digits + last) == good)
