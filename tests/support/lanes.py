"""Lanes of nobody else, and what a test does with them; some of it runs in processes of its own (children.py)."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Sequence
from typing import Final

from redis import Redis

from shared import vault
from shared.psp.port import Account
from shared.psp.traffic.gate import Ended, gate_of, ring_of
from shared.psp.traffic.lane import Errand, Later, PspLane
from shared.psp.traffic.scripts import End
from shared.psp.traffic.terms import Terms
from shared.psp.traffic.turns import Turns
from tests.support.psp import until

IMPATIENT: Final = Terms(breaker_calls=20, breaker_window_s=6.0, breaker_open_s=0.6)
"""The shipped breaker, ten times (its opening fifty times) as quick."""
ALL_COME_WITHIN_S: Final = 30.0
"""How long processes of a test wait for each other: the first of a run imports the product, on a busy machine."""


def a_lane(calls_per_s: float | None = None) -> PspLane:
    """A lane nobody has called through."""
    return PspLane(str(uuid.uuid4()), "sandbox", calls_per_s)


def of(account: Account) -> PspLane:
    """The lane of *account* at a PSP that set no limit of its own."""
    return PspLane(account.tenant_id, account.provider, account.terms.calls_per_s)


def forget(redis: Redis, account: Account) -> None:
    """Let the calls to *account* so far be nobody's memory."""
    redis.delete(gate_of(of(account).name), ring_of(of(account).name))


def turns_of(redis: Redis, terms: Terms = IMPATIENT) -> Turns:
    """The turns of one more process."""
    return Turns(redis, terms)


def ends(turns: Turns, lane: PspLane, *how: End, took_ms: int = 10) -> None:
    """Calls that ended like that."""
    for end in how:
        turns.ended(lane, Ended(end, took_ms))


def opens(turns: Turns, lane: PspLane) -> None:
    """Have the breaker of *lane* open."""
    ends(turns, lane, *[End.UNANSWERED] * IMPATIENT.breaker_calls)


def says_429(turns: Turns, redis: Redis, lane: PspLane, *, retry_after_s: float = 5.0) -> None:
    """The PSP says 429 once the pause for the last one is just over."""
    if redis.hget(f"{lane.name}:gate", "pause"):
        seconds, micros = redis.time()
        redis.hset(f"{lane.name}:gate", "pause", str(seconds * 1_000_000 + micros))
    turns.ended(lane, Ended(End.PACED, 5, retry_after_s=retry_after_s))


def is_sent(turns: Turns, lane: PspLane, errand: Errand = Errand.NEW) -> bool:
    """Whether a call may go now."""
    turn = turns.turn(lane, errand)
    if isinstance(turn, Later):
        return False
    with turn:
        return not isinstance(turns.in_time(turn), Later)


def calls_of(vault_url: str, lane: PspLane, threads: int, processes: int, seconds: float) -> list[float]:
    """When a process of *threads* made its calls through *lane*, for *seconds* from when all *processes* had come."""
    made: list[float] = []
    with vault.connect(vault_url) as redis:
        turns = turns_of(redis)
        come = f"{lane.name}:come"
        redis.incr(come)
        until(lambda: int(redis.get(come) or 0) >= processes, seconds=ALL_COME_WITHIN_S)
        until_s = time.monotonic() + seconds

        def call() -> None:
            while time.monotonic() < until_s:
                turn = turns.turn(lane, Errand.AT_ONCE)
                if isinstance(turn, Later):
                    continue
                with turn:
                    if not isinstance(turns.in_time(turn), Later):
                        made.append(time.monotonic())
                        turns.ended(lane, Ended(End.GOOD, 1))

        callers = [threading.Thread(target=call) for _ in range(threads)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
    return made


def busiest(times: Sequence[float], window_s: float = 1.0) -> int:
    """The most of *times* in any window of that length."""
    every, most, first = sorted(times), 0, 0
    for last, time_of_last in enumerate(every):
        while every[first] <= time_of_last - window_s:
            first += 1
        most = max(most, last - first + 1)
    return most
