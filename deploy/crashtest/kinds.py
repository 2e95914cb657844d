"""What the shoppers of a crash test pay with: every way of the sandbox PSP that ends by itself or by its shopper.

The cards are those of deploy/sandbox/README.md. Troubles of the PSP are dealt out by the fault injector, so that they
are counted; here are only shoppers and what they do.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Kind:
    """One way to pay. *card* None: another channel, or (*stored*) a card kept earlier."""

    name: str
    share: int
    card: str | None = None
    channel: str = "CreditCard"
    decision: str | None = None
    """What the shopper presses if the payment leads to a page; None: nothing, ever."""
    stored: bool = False
    keeps: bool = False


KINDS: Final = (
    Kind("good card", 34, "4111111111111111"),
    Kind("kept", 14, "5555555555554444", keeps=True),
    Kind("stored card", 14, stored=True),
    Kind("slow card", 4, "4000007700000125"),
    Kind("declined", 6, "4000000000009995"),
    Kind("3ds approved", 8, "4000002760003184", decision="approve"),
    Kind("3ds approved, kept", 2, "4000002760003184", decision="approve", keeps=True),
    Kind("3ds declined", 2, "4000002760003184", decision="decline"),
    Kind("3ds abandoned", 2, "4000007700000034"),
    Kind("3ds passes alone", 2, "4000007700000042"),
    Kind("PayPal", 4, channel="PayPal", decision="approve"),
    Kind("PayPal cancelled", 1, channel="PayPal", decision="cancel"),
    Kind("Klarna", 2, channel="Klarna", decision="approve"),
    Kind("Bank", 2, channel="Bank", decision="approve"),
    Kind("SEPA", 2, channel="SEPA"),
    Kind("pending, declined", 1, "4000007700000075"),
)


def endless(dice: random.Random) -> Iterator[Kind]:
    """Kinds by their shares, for ever, the same for the same dice."""
    weights = [kind.share for kind in KINDS]
    while True:
        yield dice.choices(KINDS, weights)[0]
