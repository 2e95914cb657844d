"""What the shoppers of a load pay with, by shares; the cards are those of deploy/sandbox/README.md."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import Enum
from typing import Final

GOOD: Final = "4111111111111111"
CHALLENGED: Final = "4000002760003184"
DECLINED: Final = "4000000000009995"
KEPT: Final = 0.2
"""Share of the shoppers who type a card and want it stored."""


class Way(Enum):
    """How one shopper pays."""

    TYPED = "typed"
    STORED = "stored"
    CHALLENGED = "challenged"
    DECLINED = "declined"


CARD_OF: Final = {Way.TYPED: GOOD, Way.CHALLENGED: CHALLENGED, Way.DECLINED: DECLINED}


@dataclass(frozen=True, slots=True)
class Mix:
    """Shares of all shoppers; who is in none of them types a good card. Raises ValueError where they exceed one."""

    challenges: float = 0.1
    stored: float = 0.2
    declines: float = 0.05

    def __post_init__(self) -> None:
        if self.challenges + self.stored + self.declines > 1:
            raise ValueError("the shares of challenges, stored cards and declines are more than all shoppers")

    def deal(self, dice: random.Random) -> Way:
        """The next shopper's way."""
        shares = (self.challenges, self.stored, self.declines)
        ways = (Way.CHALLENGED, Way.STORED, Way.DECLINED, Way.TYPED)
        return dice.choices(ways, (*shares, 1 - sum(shares)))[0]
