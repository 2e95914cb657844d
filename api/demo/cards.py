"""Which test cards the shop page offers, and what each does at the sandbox PSP.

A few of deploy/sandbox/README.md, one a way that an order can go; a test holds the two together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class TestCard:
    """One of them. *behaviour*: its name at the sandbox."""

    __test__ = False  # Not a test, whatever its name makes pytest think.
    name: str
    number: str
    does: str
    behaviour: str

    @property
    def grouped(self) -> str:
        """As cards print it."""
        return " ".join(self.number[at : at + 4] for at in range(0, len(self.number), 4))


OFFERED: Final = (
    TestCard("Visa", "4111111111111111", "Paid at once.", "success"),
    TestCard("Mastercard", "5555555555554444", "Paid at once.", "success"),
    TestCard("3-D Secure", "4000002760003184", "The bank asks you; you decide there.", "3ds"),
    TestCard("Not enough money", "4000000000009995", "Declined.", "insufficient_funds"),
    TestCard(
        "3-D Secure, then no", "4000008400001629", "You approve, the bank declines all the same.", "3ds_then_declined"
    ),
    TestCard("Pending", "4000007700000067", "Paid two seconds later.", "pending_then_captured"),
    TestCard(
        "Lost answer",
        "4000007700000141",
        "Charged, but the answer is lost: we ask, and charge nothing twice.",
        "dropAfter",
    ),
)
HOLDER: Final = "Jane Doe"
CVC: Final = "123"
"""Any three digits will do."""
YEARS: Final = 10
"""How many years a card's expiry may be chosen from."""
