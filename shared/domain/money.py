"""What an amount is: a count of minor units in one ISO 4217 currency.

Money is counted, never measured: no float ever holds an amount, and two currencies never meet in one sum.
"""

from __future__ import annotations

from dataclasses import dataclass


class CurrencyMismatch(ValueError):
    """Two currencies met in one calculation."""


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in minor units: Money(1499, "EUR") is 14.99 EUR."""

    amount_minor: int
    currency: str

    def __add__(self, other: Money) -> Money:
        if other.currency != self.currency:
            raise CurrencyMismatch(f"{other.currency} cannot be added to {self.currency}")
        return Money(self.amount_minor + other.amount_minor, self.currency)

    def times(self, quantity: int) -> Money:
        """This amount for *quantity* units."""
        return Money(self.amount_minor * quantity, self.currency)
