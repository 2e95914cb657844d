"""What a row of measured values says: its middle, how far it scatters, and how it stands to another row.

Medians, because one window in which the machine did something else must not move the figure; and the spread beside
them, because a figure without one cannot be judged. The standard library's statistics do the counting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any


@dataclass(frozen=True, slots=True)
class Spread:
    """The middle of some values, and the least and the greatest of them."""

    middle: float
    least: float
    greatest: float

    def document(self) -> dict[str, float]:
        """As the JSON report tells it."""
        return {"median": self.middle, "least": self.least, "greatest": self.greatest}


def of(values: Sequence[float]) -> Spread:
    """The spread of *values*; raises ValueError where there are none."""
    if not values:
        raise ValueError("nothing was measured")
    return Spread(median(values), min(values), max(values))


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """How *ours* stand to *theirs*: the ratio of the medians, and the least and greatest ratio of a pair.

    Both were measured in turn, so the values at one place in the two rows met the same machine. Raises ValueError for
    rows of different length, and where theirs has no middle to divide by.
    """
    pairs = [mine / other for mine, other in zip(ours, theirs, strict=True) if other]
    below = of(theirs).middle
    if not pairs or not below:
        raise ValueError("nothing to compare with")
    return Spread(of(ours).middle / below, min(pairs), max(pairs))


def rounded(value: Any, digits: int = 4) -> Any:
    """*value* with every number in it cut to *digits* significant ones: what was measured is not more exact."""
    if isinstance(value, float):
        return float(f"{value:.{digits}g}")
    if isinstance(value, dict):
        return {name: rounded(part, digits) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(part, digits) for part in value]
    return value
