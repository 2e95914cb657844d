"""What is measured, and what each figure is to reach.

The goals stand in one table. A figure that has one is judged by its ratio where it has a reference (both measured in
this very run), else by its value; one that was measured under other conditions than its goal names is told and not
judged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from deploy.measure import spread
from deploy.measure.spread import Spread


class Verdict(StrEnum):
    """What is to be said of a goal."""

    REACHED = "reached"
    MISSED = "MISSED"
    NOT_JUDGED = "not judged"
    NOT_MEASURED = "not measured"
    NO_GOAL = ""


@dataclass(frozen=True, slots=True)
class Goal:
    """At least, or at most, *bound*; *wish* is what we would be proud of."""

    bound: float
    at_least: bool
    wish: float | None = None

    def is_reached(self, value: float) -> bool:
        """Whether *value* is on the right side."""
        return value >= self.bound if self.at_least else value <= self.bound

    def __str__(self) -> str:
        told = f"{'>=' if self.at_least else '<='} {self.bound:g}"
        return told if self.wish is None else f"{told} ({self.wish:g})"


GOALS: Final[Mapping[str, Goal]] = {
    "admission / floor": Goal(0.6, at_least=True),
    "admission / naive": Goal(3.5, at_least=True),
    "poll / floor": Goal(0.85, at_least=True),
    "waiting pollers on one process": Goal(10_000, at_least=True),
    "admission p99, with waiting pollers / without": Goal(1.1, at_least=False),
    "change to answer, p99": Goal(100, at_least=False),
    "database reads of a waited-for order": Goal(5, at_least=False),
    "drain / naive chain": Goal(2.0, at_least=True, wish=3.0),
    "status p99, large table / small": Goal(1.3, at_least=False),
    "admission p99, large table / small": Goal(1.3, at_least=False),
    "drain, many waiting / few": Goal(0.9, at_least=True),
    "memory of an API process": Goal(150, at_least=False),
    "memory of a worker process": Goal(150, at_least=False),
    "growth of the API": Goal(2, at_least=False),
    "growth of the workers": Goal(2, at_least=False),
    "round trips of an admission": Goal(1, at_least=False),
    "round trips of a whole order": Goal(7, at_least=False),
}
"""In the order they are told."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure. *theirs* are the reference's values, measured in turn with *ours*."""

    name: str
    unit: str
    ours: Sequence[float]
    theirs: Sequence[float] = ()
    note: str = ""
    not_judged: str = ""
    """Why its goal does not apply to how it was measured; empty: it does."""
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ratio(self) -> Spread | None:
        """Ours to theirs; None without a reference."""
        return spread.ratio(self.ours, self.theirs) if self.theirs else None

    @property
    def goal(self) -> Goal | None:
        """What it is to reach, if anything."""
        return GOALS.get(self.name)

    @property
    def verdict(self) -> Verdict:
        """Whether it does."""
        if self.goal is None:
            return Verdict.NO_GOAL
        if self.not_judged:
            return Verdict.NOT_JUDGED
        told = self.ratio or spread.of(self.ours)
        return Verdict.REACHED if self.goal.is_reached(told.middle) else Verdict.MISSED

    def document(self) -> dict[str, Any]:
        """As the JSON report tells it."""
        told: dict[str, Any] = {"name": self.name, "unit": self.unit, "ours": spread.of(self.ours).document()}
        told["oursMeasured"] = list(self.ours)
        if self.ratio is not None:
            told |= {"reference": spread.of(self.theirs).document(), "referenceMeasured": list(self.theirs)}
            told["ratio"] = self.ratio.document()
        if self.goal is not None:
            told |= {"goal": str(self.goal), "verdict": self.verdict}
        return told | {
            name: value
            for name, value in (("note", self.note), ("notJudged", self.not_judged), ("details", dict(self.details)))
            if value
        }
