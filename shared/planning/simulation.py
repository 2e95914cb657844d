"""Orders that come by chance and pass stations with so many servers each: a run of what a plan only computes.

A small event loop of our own: what is needed of one is a heap and two moves, and simpy's generators took three times as
long for the same run, which somebody waits for at a prompt.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from random import Random
from typing import Final

WARM_PART: Final = 0.2
"""The part of a run that fills empty stations and is not counted."""
Service = Callable[[Random], float]
"""How long the next one takes, in seconds."""


@dataclass(slots=True)
class Station:
    """Some servers and one queue before them, first come, first served; it keeps what happened."""

    servers: int
    service_s: Service
    free: int = field(init=False)
    queue: deque[tuple[int, float]] = field(init=False, default_factory=deque)
    came_s: list[float] = field(init=False, default_factory=list)
    """When each came whose service began, in the order in which they were served."""
    began_s: list[float] = field(init=False, default_factory=list)
    ended_s: list[float] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.free = self.servers


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of a station between two moments of a run."""

    busy: float
    """The share of its servers that was busy."""
    waits_s: list[float]
    """How long those waited who came meanwhile, the shortest first."""
    growth: float
    """By how much the queue grew, as a share of those who came."""


@dataclass(frozen=True, slots=True)
class Run:
    """A run: what was seen of each station, and how long those took who came in the counted part."""

    seen: tuple[Seen, ...]
    took_s: list[float]
    """From the first station to the end of the last, in order of their coming."""


def run(stations: Sequence[Station], *, per_second: float, count: int, random: Random) -> Run:
    """Let *count* come at *per_second* on the average (a Poisson process), each through all *stations* in turn."""
    events: list[tuple[float, int, int]] = []  # When, who, and the station that is done with them; -1: they come.
    came_s: list[float] = []
    done_s = [0.0] * count

    def begin(now: float, came: float, who: int, at: int) -> None:
        station = stations[at]
        ends = now + station.service_s(random)
        station.came_s.append(came)
        station.began_s.append(now)
        station.ended_s.append(ends)
        heappush(events, (ends, who, at))

    def enter(now: float, who: int, at: int) -> None:
        if at == len(stations):
            done_s[who] = now
        elif stations[at].free:
            stations[at].free -= 1
            begin(now, now, who, at)
        else:
            stations[at].queue.append((who, now))

    def leave(now: float, at: int) -> None:
        station = stations[at]
        if station.queue:
            who, came = station.queue.popleft()
            begin(now, came, who, at)
        else:
            station.free += 1

    heappush(events, (random.expovariate(per_second), 0, -1))
    while events:
        now, who, at = heappop(events)
        if at >= 0:
            leave(now, at)
        else:
            came_s.append(now)
            if who + 1 < count:
                heappush(events, (now + random.expovariate(per_second), who + 1, -1))
        enter(now, who, at + 1)
    return _counted(stations, came_s, done_s)


def _counted(stations: Sequence[Station], came_s: list[float], done_s: list[float]) -> Run:
    first = int(len(came_s) * WARM_PART)
    from_s, to_s = came_s[first], came_s[-1]
    took = [done - came for came, done in zip(came_s[first:], done_s[first:], strict=True)]
    return Run(tuple(seen(station, from_s, to_s) for station in stations), took)


def seen(station: Station, from_s: float, to_s: float) -> Seen:
    """What happened at *station* between two moments."""
    served = list(zip(station.came_s, station.began_s, station.ended_s, strict=True))
    worked = sum(max(0.0, min(ended, to_s) - max(began, from_s)) for _, began, ended in served)
    waits = sorted(began - came for came, began, _ in served if from_s <= came < to_s)
    grown = sum((came <= to_s < began) - (came <= from_s < began) for came, began, _ in served)
    return Seen(worked / (station.servers * (to_s - from_s)), waits, grown / len(waits) if waits else 0.0)


def percentile(ordered: Sequence[float], part: float) -> float:
    """The value that *part* of *ordered* do not exceed; 0 of none."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))] if ordered else 0.0
