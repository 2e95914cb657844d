"""How a plan's numbers are written: to what can be known of them, in units people count in."""

from __future__ import annotations

from typing import Final

_UNITS: Final = (("TB", 1e12), ("GB", 1e9), ("MB", 1e6))


def number(value: float) -> str:
    """Three significant digits, thousands apart; whole numbers below a thousand as they are."""
    cut = float(f"{value:.3g}")
    return f"{cut:,.0f}" if cut >= 100 else f"{cut:g}"


def count(value: int) -> str:
    """As it is, thousands apart."""
    return f"{value:,}"


def size(value: float) -> str:
    """Bytes."""
    unit, of_it = next(((unit, of_it) for unit, of_it in _UNITS if value >= of_it), _UNITS[-1])
    return f"{number(value / of_it)} {unit}"


def ms(value: float) -> str:
    """Milliseconds, whole ones from ten up."""
    return f"{value:,.0f} ms" if value >= 10 else f"{value:.1f} ms"
