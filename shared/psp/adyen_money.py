"""Minor units as ISO 4217 counts them and as Adyen does: the same but for four currencies.

Adyen takes the pesos of Chile and the kronur of Iceland in hundredths, though ISO 4217 gives them none, and the escudos
of Cape Verde and the rupiah of Indonesia whole, though ISO gives them hundredths (docs.adyen.com, Currency codes and
minor units). Taken for the same, an amount would be charged a hundred times over, or a hundredth of it.
"""

from __future__ import annotations

from typing import Any, Final

from shared.domain.money import Money

_IN_HUNDREDTHS: Final = frozenset({"CLP", "ISK"})
_WHOLE: Final = frozenset({"CVE", "IDR"})


def to_adyen(money: Money) -> dict[str, Any] | None:
    """*money* as a request names it; None for an amount that Adyen cannot name (a fraction of a rupiah)."""
    value = _hundredth(money.amount_minor) if money.currency in _WHOLE else money.amount_minor
    if value is None:
        return None
    return {"currency": money.currency, "value": value * 100 if money.currency in _IN_HUNDREDTHS else value}


def from_adyen(value: int, currency: str) -> Money | None:
    """What an amount of Adyen's is; None for one that is no amount of ours (a fraction of a peso)."""
    if currency in _WHOLE:
        return Money(value * 100, currency)
    ours = _hundredth(value) if currency in _IN_HUNDREDTHS else value
    return None if ours is None else Money(ours, currency)


def _hundredth(amount: int) -> int | None:
    whole, rest = divmod(amount, 100)
    return None if rest else whole
