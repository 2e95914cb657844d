"""How amounts, times and ages are said on a page, and how an amount that somebody typed is read."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from typing import Final

_NO_MINOR: Final = " BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF "
_THOUSANDTHS: Final = " BHD IQD JOD KWD LYD OMR TND "
"""ISO 4217, list one: currencies whose minor unit is not a hundredth."""
MINUTE_S: Final = 60
HOUR_S: Final = 3_600
DAY_S: Final = 86_400
_AMOUNT: Final = re.compile(r"[0-9]{1,12}(\.[0-9]{1,3})?")
"""More than anybody pays, and no notation in which a slip of the finger is a thousandfold."""


class NoAmount(ValueError):
    """What was typed is no amount of this currency."""


def digits_of(currency: str) -> int:
    """How many digits of an amount are minor units."""
    name = f" {currency} "
    return 0 if name in _NO_MINOR else 3 if name in _THOUSANDTHS else 2


def amount(minor: int | None, currency: str | None) -> str:
    """1499 EUR is "14.99 EUR"; nothing where the amount is not fixed yet."""
    if minor is None or currency is None:
        return ""
    return f"{Decimal(minor).scaleb(-digits_of(currency)):,.{digits_of(currency)}f} {currency}"


def minor_of(typed: str, currency: str) -> int:
    """The minor units of an amount as `amount` says it, without its currency. Raises NoAmount."""
    typed = typed.strip()
    minor = Decimal(typed).scaleb(digits_of(currency)) if _AMOUNT.fullmatch(typed) else Decimal(0)
    if minor <= 0 or minor != minor.to_integral_value():
        raise NoAmount(f"say it as {amount(500, currency).split()[0]}, more than nothing")
    return int(minor)


def at(moment: datetime | None) -> str:
    """The day and the second, in UTC."""
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}"


def age(since: datetime | None, now: datetime) -> str:
    """How long ago it was, in the two units that count."""
    return "" if since is None else lasting(max(0.0, (now - since).total_seconds()))


def lasting(seconds: float) -> str:
    """A time in the two units that count."""
    whole = int(seconds)
    if whole < MINUTE_S:
        return f"{whole} s"
    if whole < HOUR_S:
        return f"{whole // MINUTE_S} min {whole % MINUTE_S} s"
    if whole < DAY_S:
        return f"{whole // HOUR_S} h {whole % HOUR_S // MINUTE_S} min"
    return f"{whole // DAY_S} d {whole % DAY_S // HOUR_S} h"


def short_ms(ms: float) -> str:
    """A time of milliseconds, as short as it can be said."""
    return f"{ms:.0f} ms" if ms < 1_000 else f"{ms / 1_000:.1f} s" if ms < 60_000 else lasting(ms / 1_000)
