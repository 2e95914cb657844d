"""Measures several ways in turn, A B A B, so that whatever else the machine does falls on all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from deploy.stack import signals

Measured = TypeVar("Measured")


def in_turn(
    ways: Mapping[str, Callable[[], Measured]],
    rounds: int,
    tell: Callable[[int, str, Measured], None],
    measured: dict[str, list[Measured]] | None = None,
) -> dict[str, list[Measured]]:
    """What each way measured, *rounds* times; raises StopAsked between two.

    *measured*: where to note it, for whoever wants to know what was measured until it was stopped.
    """
    measured = {} if measured is None else measured
    measured |= {name: [] for name in ways}
    for number in range(rounds):
        for name, measure in ways.items():
            signals.check()
            measured[name].append(measure())
            tell(number + 1, name, measured[name][-1])
    return measured


def whole_rounds(measured: Mapping[str, list[Measured]]) -> dict[str, list[Measured]]:
    """What was *measured* in those turns which all ways had; empty lists if none."""
    rounds = min((len(several) for several in measured.values()), default=0)
    return {name: several[:rounds] for name, several in measured.items()}
