"""Minor units as ISO 4217 counts them and as Stripe does: the same but for three currencies.

Stripe takes the krona of Iceland and the shilling of Uganda in hundredths, though ISO gives them none, and the ariary
of Madagascar whole, though ISO gives it hundredths (docs.stripe.com/currencies, special cases). Taken for the same,
an amount would be charged a hundred times over, or a hundredth of it.
"""

from __future__ import annotations

from typing import Final

from shared.domain.money import Money

_IN_HUNDREDTHS: Final = frozenset({"ISK", "UGX"})
_WHOLE: Final = frozenset({"MGA"})


def to_stripe(money: Money) -> int | None:
    """The amount Stripe is asked for; None for one it cannot take (a fraction of an ariary)."""
    if money.currency in _IN_HUNDREDTHS:
        return money.amount_minor * 100
    return _hundredth(money.amount_minor) if money.currency in _WHOLE else money.amount_minor


def from_stripe(amount: int, currency: str) -> Money | None:
    """What Stripe's amount in its (lower-case) currency is; None for one that is no amount of ours."""
    code = currency.upper()
    if code in _WHOLE:
        return Money(amount * 100, code)
    ours = _hundredth(amount) if code in _IN_HUNDREDTHS else amount
    return None if ours is None else Money(ours, code)


def _hundredth(amount: int) -> int | None:
    whole, rest = divmod(amount, 100)
    return None if rest else whole
