"""The gate of one process, for as long as nobody can reach the shared one: the same rows, at the same rate.

Calls are never refused for the sake of a Redis that is away. Each process then paces by itself, so all of them together
may call as many times as often as there are processes; and no breaker opens, as one process alone knows too little.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from shared.psp.traffic.gate import Ended, News, Told
from shared.psp.traffic.lane import Errand, PspLane
from shared.psp.traffic.scripts import AWAY_AFTER, FAILED, End

LANES: Final = 10_000
"""Lanes a process remembers; with more it begins again, which costs their PSPs one second of calls too many."""


@dataclass(slots=True)
class _Lane:
    next: float = 0.0
    line: float = 0.0
    again: float = 0.0
    pause: float = 0.0
    unheard: int = 0


class LocalGate:
    """One process's own gate. Safe to use from any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lanes: dict[str, _Lane] = {}
        self._lock = threading.Lock()

    def ask(self, lane: PspLane, errand: Errand, *, near_s: float) -> Told:
        """As Gate says."""
        with self._lock:
            now, own = self._clock(), self._of(lane)
            slot = max(own.next, now, own.pause)
            stands_behind = errand is Errand.NEW and own.line > slot
            if slot - now > near_s or stands_behind:
                return Told(goes=False, after_s=_place(own, lane, errand, slot if near_s >= 0 else slot + 1) - now)
            own.next = slot + lane.interval_s
            if errand is Errand.NEW:
                own.line = own.next
            elif errand is Errand.AT_ONCE:
                own.line = max(own.line, now) + lane.interval_s
            return Told(goes=True, after_s=slot - now)

    def ended(self, lane: PspLane, ended: Ended) -> tuple[News, float]:
        """As Gate says."""
        with self._lock:
            now, own = self._clock(), self._of(lane)
            if ended.end is End.PACED:
                own.pause = max(own.pause, now + ended.retry_after_s)
                return News.NONE, _place(own, lane, Errand.PLACED, own.pause) - now
            if ended.end in FAILED:
                own.unheard += 1
                return News.NONE, 0.0
            was_away, own.unheard = own.unheard >= AWAY_AFTER, 0
            return News.BACK if was_away else News.NONE, 0.0

    def _of(self, lane: PspLane) -> _Lane:
        if len(self._lanes) >= LANES:
            self._lanes.clear()
        return self._lanes.setdefault(lane.name, _Lane())


def _place(own: _Lane, lane: PspLane, errand: Errand, earliest: float) -> float:
    if errand is Errand.NEW:
        at = max(own.line, earliest)
        own.line = at + lane.apart_s
    else:
        at = max(own.again, earliest)
        own.again = at + lane.apart_s
    return at
