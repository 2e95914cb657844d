"""How fast a line of waiting orders goes, as successive counts of it tell.

Only a line that is never empty tells what its workers can do; one that is tells how many come. So the pace is measured
while orders wait that nobody has in hand, and remembered after: the next crowd's first poller is told by what was.
"""

from __future__ import annotations

from collections import deque
from typing import Final

ENOUGH: Final = 100
"""Orders that went, by which a pace is known to 10 % at worst: were they as uneven as chance, and payments are not."""
AT_LEAST_S: Final = 5.0
"""However many went: workers that go through orders in step go by fits and starts."""
AT_MOST_S: Final = 60.0
"""However few went: what was a minute ago may be no more."""
STILL_S: Final = 15.0
"""A line of which none went for so long stands still: as long as a PSP's answer may take."""


class Drain:
    """One line's pace; times in seconds."""

    def __init__(self) -> None:
        self._counts: deque[tuple[float, int]] = deque()
        self._still_s: float | None = 0.0
        """How long none went since orders began to wait; None once one did."""
        self._remembered: float | None = None

    def went(self, orders: int, within_s: float) -> None:
        """Between two counts, *within_s* apart, so many *orders* went while others waited."""
        if self._still_s is None:
            self._count(orders, within_s)
        elif orders:
            self._still_s = None  # The workers' places filled up meanwhile: it counts from here.
        else:
            self._still_s += within_s
            if self._still_s >= STILL_S:
                self._remembered = None

    def rests(self) -> None:
        """Nobody waits, or nobody can say."""
        self._counts.clear()
        self._still_s = 0.0

    def _count(self, orders: int, within_s: float) -> None:
        self._counts.append((within_s, orders))
        while self._is_enough(list(self._counts)[1:]):
            self._counts.popleft()
        seconds, gone = _sum(self._counts)
        if gone > 0:
            self._remembered = gone / seconds
        elif seconds >= STILL_S:
            self._remembered = None

    @property
    def per_s(self) -> float | None:
        """How many orders go in a second; None: not known, or none does."""
        return self._remembered

    @staticmethod
    def _is_enough(counts: list[tuple[float, int]]) -> bool:
        seconds, gone = _sum(counts)
        return seconds >= AT_MOST_S or (seconds >= AT_LEAST_S and gone >= ENOUGH)


def _sum(counts: deque[tuple[float, int]] | list[tuple[float, int]]) -> tuple[float, int]:
    return sum(seconds for seconds, _ in counts), sum(gone for _, gone in counts)
