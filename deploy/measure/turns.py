"""Measures several ways in turn, A B A B, so that whatever else the machine does falls on all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from deploy.stack import signals

Measured = TypeVar("Measured")


def in_turn(
    ways: Mapping[str, Callable[[], Measured]], rounds: int, tell: Callable[[int, str, Measured], None]
) -> dict[str, list[Measured]]:
    """What each way measured, *rounds* times; raises StopAsked between two."""
    measured: dict[str, list[Measured]] = {name: [] for name in ways}
    for number in range(rounds):
        for name, measure in ways.items():
            signals.check()
            measured[name].append(measure())
            tell(number + 1, name, measured[name][-1])
    return measured
