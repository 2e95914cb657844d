"""What a part of the bench gives back: its figures, and everything else worth keeping."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from deploy.measure.figures import Figure


@dataclass(slots=True)
class Outcome:
    """The figures of one part, by name."""

    figures: list[Figure] = field(default_factory=list)

    def add(self, name: str, unit: str, ours: Sequence[float], theirs: Sequence[float] = (), **more: Any) -> None:
        """One figure more; *more* are Figure's other fields."""
        self.figures.append(Figure(name, unit, tuple(ours), tuple(theirs), **more))

    def take(self, other: Outcome) -> None:
        """The figures of *other* as well."""
        self.figures += other.figures

    def values(self, name: str) -> Sequence[float]:
        """What was measured of ours under *name*; empty if nothing was."""
        return next((figure.ours for figure in self.figures if figure.name == name), ())
