"""How much a run measures: enough that a median means something, little enough that all of it takes minutes."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict, dataclass
from typing import Any, Final

ROUNDS: Final = 5
"""Pairs a figure: an odd number has a middle that was measured."""
SECONDS: Final = 4.0
"""A window of load: the figures of one second scatter by a tenth, those of four by a thirtieth."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The sizes of one run; times in seconds, all else in orders."""

    rounds: int
    seconds: float
    warm_seconds: float
    """Load before a server counts: connected, its key cached, its statements prepared."""
    drained: int
    drained_over_http: int
    latency_seconds: float
    pollers: int
    """Who wait at the same time, each on a connection of its own."""
    ended_pollers: int
    """Of these, whose order ends while it is timed."""
    warm_orders: int
    """So many that each of 16 payment processes has prepared its statements (psycopg does after five runs)."""
    priced: int
    """Orders whose cost is counted."""
    remembered: int
    """Orders between two looks at the memory of processes."""
    finished: int
    """Finished orders of the large table; 0: the scale part is not run."""
    few_finished: int
    few_waiting: int
    many_waiting: int
    window_seconds: float
    """How long a drain with many waiting is watched."""

    def document(self) -> dict[str, Any]:
        """As the JSON report tells it."""
        return asdict(self)


def of(asked: Namespace) -> Plan:
    """The sizes that were asked for."""
    finished: int = asked.scale or 0
    quick: bool = asked.quick
    return Plan(
        rounds=asked.rounds or (1 if quick else ROUNDS),
        seconds=asked.seconds or (1.0 if quick else SECONDS),
        warm_seconds=0.5 if quick else 1.5,
        drained=60 if quick else 1_500,
        drained_over_http=32 if quick else 480,
        latency_seconds=2.0 if quick else 10.0,
        pollers=200 if quick else 10_000,
        ended_pollers=100 if quick else 500,
        warm_orders=32 if quick else 320,
        priced=10 if quick else 200,
        remembered=40 if quick else 100_000 if finished else 3_000,
        finished=finished,
        few_finished=max(1, finished // 1_000),
        few_waiting=max(1, finished // 10_000),
        many_waiting=max(1, finished // 100),
        window_seconds=2.0 if quick else 20.0,
    )
