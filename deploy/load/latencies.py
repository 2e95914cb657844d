"""How long calls took and what was answered, in little room however long a run lasts.

Durations fall into classes that grow by two per cent, so that a percentile is right within one per cent and an hour of
calls takes no more memory than a minute of them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from math import exp, log
from typing import Any, Final

STEP: Final = log(1.02)
SHORTEST_MS: Final = 0.01
"""No answer takes less; what does is told as this."""


@dataclass(slots=True)
class Calls:
    """The calls of one kind."""

    classes: Counter[int] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    """HTTP statuses; for an answer that did not come the type of the network's error."""
    longest_ms: float = 0.0

    def note(self, took_ms: float, code: str) -> None:
        """One call more."""
        self.classes[round(log(max(took_ms, SHORTEST_MS)) / STEP)] += 1
        self.codes[code] += 1
        self.longest_ms = max(self.longest_ms, took_ms)

    def percentile_ms(self, share: float) -> float:
        """What *share* of the calls took at most (nearest rank); 0 where there were none."""
        rank, so_far = share * self.classes.total(), 0
        for number in sorted(self.classes):
            so_far += self.classes[number]
            if so_far >= rank:
                return min(exp(number * STEP), self.longest_ms)
        return 0.0

    def document(self, seconds: float) -> dict[str, Any]:
        """As the report tells it; *seconds*: how long the run took."""
        count = self.classes.total()
        percentiles = {f"p{percent}Ms": round(self.percentile_ms(percent / 100), 2) for percent in (50, 95, 99)}
        rate = round(count / seconds, 2) if seconds else 0.0
        return {
            "count": count,
            "perSecond": rate,
            **percentiles,
            "longestMs": round(self.longest_ms, 2),
            "codes": dict(sorted(self.codes.items())),
        }
