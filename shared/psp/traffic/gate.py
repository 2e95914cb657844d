"""The gates of all lanes, in the Redis that every process of the installation shares.

It is the vault's: it persists nothing, and nothing here is worth keeping. What is forgotten with it costs a PSP one
second of two processes' calls, and us a breaker that has to learn again.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Protocol, cast

from redis import Redis

from shared.psp.traffic.lane import Errand, PspLane
from shared.psp.traffic.scripts import ASK, END, End
from shared.psp.traffic.terms import Terms

_US: Final = 1_000_000


class News(IntEnum):
    """What the end of a call says of its PSP."""

    NONE = 0
    AWAY = 1  # Its breaker opened.
    STILL_AWAY = 2
    BACK = 3  # Who waited for it may come.


@dataclass(frozen=True, slots=True)
class Told:
    """What a gate says to somebody who wants to call. *after_s*: until their slot, or until their place in the row."""

    goes: bool
    after_s: float
    is_probe: bool = False
    is_away: bool = False


@dataclass(frozen=True, slots=True)
class Ended:
    """How a call ended; *retry_after_s*: what the PSP wants to be left alone for, where it said 429."""

    end: End
    took_ms: int
    was_probe: bool = False
    retry_after_s: float = 0.0


class Gate(Protocol):
    """Who may call and who waits. Both answers are of one moment."""

    def ask(self, lane: PspLane, errand: Errand, *, near_s: float) -> Told:
        """Whether a call may go within *near_s* seconds (below 0: it may not), or its place in the row."""
        ...

    def ended(self, lane: PspLane, ended: Ended) -> tuple[News, float]:
        """Note how a call ended; what that says, and in how many seconds one that met 429 has its place."""
        ...


class SharedGate:
    """The gate of the whole installation. Raises RedisError while its Redis is away."""

    def __init__(self, redis: Redis, terms: Terms) -> None:
        self._ask, self._end = redis.register_script(ASK), redis.register_script(END)
        self._terms = terms

    def ask(self, lane: PspLane, errand: Errand, *, near_s: float) -> Told:
        """As Gate says."""
        asked = [*_spacing(lane), errand.value, _us(near_s)]
        goes, after_us, flag = cast("tuple[int, int, int]", self._ask([gate_of(lane.name)], asked))
        return Told(bool(goes), after_us / _US, is_probe=bool(goes and flag), is_away=bool(not goes and flag))

    def ended(self, lane: PspLane, ended: Ended) -> tuple[News, float]:
        """As Gate says."""
        terms = self._terms
        patience = [terms.breaker_calls, _us(terms.breaker_open_s), _us(terms.slot_s)]
        said = [ended.end.value, ended.took_ms, int(ended.was_probe), _us(ended.retry_after_s)]
        keys = [gate_of(lane.name), ring_of(lane.name)]
        news, place_us = cast("tuple[int, int]", self._end(keys, [*_spacing(lane), *said, *patience]))
        return News(news), place_us / _US


def gate_of(name: str) -> str:
    """Where the numbers of the lane called *name* are kept."""
    return f"{name}:gate"


def ring_of(name: str) -> str:
    """Where the ends of the calls of the lane called *name* are counted."""
    return f"{name}:ring"


def _spacing(lane: PspLane) -> list[int]:
    return [_us(lane.interval_s), _us(lane.apart_s)]


def _us(seconds: float) -> int:
    return round(seconds * _US)
