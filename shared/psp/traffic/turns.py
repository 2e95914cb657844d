"""Gives the calls to PSPs their turn: paced for their account, kept off a PSP that is away, a few threads an account.

Every process asks the shared gate, which judges by the clock of its Redis at the moment of the call. A turn that is
near is waited for here, in the caller's thread; any other is told as Later, a place in the row, so that no thread,
lease or attempt is held meanwhile. The last moments before a slot are its holder's, to get ready for its call. While
that Redis is away each process paces by itself (local_gate.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from types import TracebackType
from typing import Final, Self

import structlog
from redis import Redis
from redis.exceptions import RedisError

from shared.domain.outcomes import PACED
from shared.psp.traffic.gate import Ended, Gate, News, SharedGate, Told
from shared.psp.traffic.hands import Hands
from shared.psp.traffic.lane import NEAR_S, Errand, Later, PspLane
from shared.psp.traffic.local_gate import LocalGate
from shared.psp.traffic.terms import Terms

log = structlog.get_logger(__name__)

AWAY: Final = "breaker open"
"""Why a call was not made to a PSP that gives no answers."""
AHEAD_S: Final = 0.5
"""How long before its slot a turn is given: whoever has to commit an attempt does it meanwhile, and leaves in time on a
machine that has too much to do as well."""
PAUSE_S: Final = 1.0
"""How long a Redis that failed is left alone: one slow call a second and process, not each."""
TRIES: Final = 2
"""Slots that a caller who is held up may miss; then the row is the better place to wait."""
_HELD: ContextVar[Turn | None] = ContextVar("psp_turn", default=None)


@dataclass(slots=True)
class Turn:
    """Somebody's turn to call. Within its `with` the first call to its account is the one it was given for."""

    lane: PspLane
    is_probe: bool
    slot_at: float
    """The monotonic time at which the call may leave, and"""
    good_until: float
    """the one after which it would come too late."""
    _let_go: Callable[[], None]
    _token: Token[Turn | None] | None = field(default=None, init=False)

    def is_in_time(self) -> bool:
        """Wait for its slot; whether its call may still leave. It may always where calls are not paced, or where there
        is no other beside it."""
        _wait(self.slot_at - time.monotonic())
        return self.is_probe or time.monotonic() <= self.good_until

    def __enter__(self) -> Self:
        self._token = _HELD.set(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._token is not None, "it was entered"
        _HELD.reset(self._token)
        self._let_go()


def held(lane: PspLane) -> Turn | None:
    """The turn this caller holds for *lane*, once: the call after it needs one of its own."""
    turn = _HELD.get()
    if turn is None or turn.lane.name != lane.name:
        return None
    _HELD.set(None)
    return turn


class Turns:
    """The turns of one process. Safe to use from any thread or greenlet; waits are sleeps of the standard library."""

    def __init__(self, redis: Redis, terms: Terms, on_back: Callable[[PspLane], None] = lambda _: None) -> None:
        """*on_back* hears of a PSP that answers again, in the thread of the call that met it."""
        self._shared: Gate = SharedGate(redis, terms)
        self._local: Gate = LocalGate()
        self._hands = Hands(terms.calls_at_once)
        self._on_back = on_back
        self._away_until = 0.0

    def turn(self, lane: PspLane, errand: Errand) -> Turn | Later:
        """A turn to call through *lane*, waited for where it is near; else a place in the row."""
        if not self._hands.take(lane.name):
            told = self._ask(lane, errand, near_s=-1.0)
            return _later(told)
        came = None
        try:
            came = self._come(lane, errand)
        finally:
            if not isinstance(came, Turn):
                self._hands.let_go(lane.name)
        return came

    def in_time(self, turn: Turn) -> Turn | Later:
        """*turn* once its slot is there, or another if its holder was held up: a call that leaves late would meet those
        of later slots."""
        for _ in range(TRIES):
            if turn.is_in_time():
                return turn
            late_ms = round(1_000 * (time.monotonic() - turn.slot_at))
            log.info("psp.slot_missed", tenant=turn.lane.tenant_id, provider=turn.lane.provider, late_ms=late_ms)
            came = self._come(turn.lane, Errand.PLACED)
            if isinstance(came, Later):
                return came
            turn = came
        return _later(self._ask(turn.lane, Errand.PLACED, near_s=-1.0))

    def ended(self, lane: PspLane, ended: Ended) -> timedelta:
        """Note how a call ended; where it met 429, when it has its next turn."""
        news, place_s = self._end(lane, ended)
        if news is News.AWAY:
            log.error("psp.away", tenant=lane.tenant_id, provider=lane.provider)
        if news is News.BACK:
            log.warning("psp.back", tenant=lane.tenant_id, provider=lane.provider)
            self._on_back(lane)
        return timedelta(seconds=place_s)

    def _come(self, lane: PspLane, errand: Errand) -> Turn | Later:
        asked_at = time.monotonic()
        told = self._ask(lane, errand, near_s=NEAR_S[errand])
        if not told.goes:
            return _later(told)
        # Redis judged somewhere between asking and hearing: it leaves after its slot by the later reckoning, and is
        # late by the sooner one.
        slot_at = time.monotonic() + told.after_s
        _wait(told.after_s - AHEAD_S)
        let_go = partial(self._hands.let_go, lane.name)
        return Turn(lane, told.is_probe, slot_at, asked_at + told.after_s + lane.late_s, let_go)

    def _ask(self, lane: PspLane, errand: Errand, *, near_s: float) -> Told:
        if self._is_shared():
            try:
                return self._shared.ask(lane, errand, near_s=near_s)
            except RedisError as error:
                self._leave_alone(error)
        return self._local.ask(lane, errand, near_s=near_s)

    def _end(self, lane: PspLane, ended: Ended) -> tuple[News, float]:
        if self._is_shared():
            try:
                return self._shared.ended(lane, ended)
            except RedisError as error:
                self._leave_alone(error)
        return self._local.ended(lane, ended)

    def _is_shared(self) -> bool:
        return time.monotonic() >= self._away_until

    def _leave_alone(self, error: RedisError) -> None:
        self._away_until = time.monotonic() + PAUSE_S
        log.error("psp.paced_alone", error=type(error).__name__)  # The alarm; a traceback adds nothing.


def _later(told: Told) -> Later:
    return Later(AWAY if told.is_away else PACED, timedelta(seconds=told.after_s))


def _wait(seconds: float) -> None:
    """Sleep, if there is anything to sleep for: most turns have come when they are given."""
    if seconds > 0:
        time.sleep(seconds)
