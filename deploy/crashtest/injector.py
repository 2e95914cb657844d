"""Does the planned faults to the stack, and writes down of each when it struck, what it hit and when it was over.

Faults of different parts may overlap, as they do in life; two of one part wait for each other.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import psycopg

from deploy.crashtest import probe
from deploy.crashtest.hand import Blow, Hand
from deploy.crashtest.plan import Planned
from deploy.crashtest.target import Target


@dataclass(frozen=True, slots=True)
class Struck:
    """One fault as it went. Times in seconds since the epoch; *over_at*: what was hit works again."""

    kind: str
    family: str
    kills: bool
    at: float
    over_at: float
    what: str
    reached: int
    in_flight: dict[str, int] | None
    """Orders that were not terminal, by state; None: the database was away because of an earlier fault."""
    holders: int
    calls_waiting: int
    hit: bool
    """Whether the system had work in hand: orders whose next move is its own, or calls it had not answered."""


@dataclass(slots=True)
class Injector:
    """The faults of one run."""

    target: Target
    http: aiohttp.ClientSession
    seed: int
    file: Path
    calls_waiting: Callable[[], int]
    say: Callable[[str], None]
    struck: list[Struck] = field(default_factory=list)
    _locks: dict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    async def run(self, plan: Sequence[Planned]) -> None:
        """Every fault of *plan* at its time; returns once all of them are over. Raises NotBack."""
        started = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number, planned in enumerate(plan):
                await asyncio.sleep(max(0.0, started + planned.at_s - time.monotonic()))
                group.create_task(self._strike(number, planned))

    async def _strike(self, number: int, planned: Planned) -> None:
        kind = planned.kind
        async with self._locks[kind.hurts]:
            before = await asyncio.to_thread(probe.in_flight, self.target.text("postgresDsn"))
            dice = random.Random(f"{self.seed}/{number}")  # noqa: S311 - chaos, not secrets
            waiting, at = self.calls_waiting(), time.time()
            try:
                blow = await kind.strike(Hand(self.target, self.http, dice, before))
            except psycopg.OperationalError:
                blow = Blow("PostgreSQL was away by an earlier fault", 0)
            struck = Struck(
                kind=kind.name,
                family=kind.family,
                kills=kind.kills,
                at=at,
                over_at=time.time(),
                what=blow.what,
                reached=blow.reached,
                in_flight=None if before is None else before.states,
                holders=len(before.holders) if before else 0,
                calls_waiting=waiting,
                hit=bool(waiting) if before is None else bool(before.worked_on),
            )
        self.struck.append(struck)
        self._note(struck)

    def _note(self, struck: Struck) -> None:
        with self.file.open("a") as file:
            file.write(json.dumps(asdict(struck)) + "\n")
        self.say(f"{struck.family}: {struck.what} ({_told(struck.in_flight)})")


def _told(in_flight: dict[str, Any] | None) -> str:
    if in_flight is None:
        return "database away"
    return ", ".join(f"{count} {state}" for state, count in sorted(in_flight.items())) or "nothing in flight"
