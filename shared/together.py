"""How callers who ask the same server at the same moment share one round trip.

A round trip costs nearly all of its processor time once, however much it asks: the system calls and wake-ups at both
ends, a transaction and its commit. So whoever comes first asks for all who came with them; who comes while that is
under way waits, and one of them asks next for all of them. Nobody waits for company: who is alone asks at once, so a
quiet server answers as quickly as ever, and a crowd makes its own batches, the larger the busier it is. Nor does
anybody wait long for one that is held up: then the next asks beside it.

What may not share goes in lines of its own: a batch is of one line. The one who asks does so as itself, with its own
context, in its own thread or greenlet.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Final, Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Asked = TypeVar("Asked")
Told = TypeVar("Told")

BESIDE_AFTER_S: Final = 0.02
"""Several times what a round trip takes that nothing holds up, commit and all."""
WITHIN_S: Final = 10.0
"""Longer than anything we ask takes to answer or to fail (shared/store/engine.py, shared/vault.py)."""


class LeftAlone(RuntimeError):
    """Whoever asked for us was ended in the middle, or took too long: nobody knows what became of it."""


class Together(Generic[Key, Asked, Told]):
    """A counter: *do* asks for all of a batch at once and tells one answer for each, in order."""

    def __init__(
        self,
        do: Callable[[Key, list[Asked]], Sequence[Told]],
        *,
        at_most: int,
        beside_after_s: float = BESIDE_AFTER_S,
        within_s: float = WITHIN_S,
    ) -> None:
        """*at_most* ask together. Who has waited for *beside_after_s* asks beside the one who is asking, with all who
        wait; once it is asked for, nobody waits longer than *within_s*."""
        self._do, self._at_most, self._beside_after_s, self._within_s = do, at_most, beside_after_s, within_s
        self._let_others_come = _look_around()
        self._lock = Lock()
        self._lines: dict[Key, _Line[Asked, Told]] = {}
        """Only those for which somebody asks."""

    def ask(self, key: Key, asked: Asked) -> Told:
        """The answer to *asked*, in the line *key*; raises what *do* raised for the whole batch, or LeftAlone."""
        seat: _Seat[Asked, Told] = _Seat(asked)  # Not _Seat[...](asked): that costs five times as much.
        with self._lock:
            line = self._lines.get(key)
            if line is None:
                line = self._lines[key] = _Line()
                is_first = True
            else:
                line.waiting.append(seat)
                is_first = False
        if is_first or not self._is_asked_for(line, seat):
            self._ask_for_all(key, line, seat)
        return seat.answer()

    def _is_asked_for(self, line: _Line[Asked, Told], seat: _Seat[Asked, Told]) -> bool:
        """Wait until somebody brought the answer, or it is this one's turn to ask."""
        if not seat.turn.acquire(timeout=self._beside_after_s):
            with self._lock:
                if seat in line.waiting:
                    line.waiting.remove(seat)
                    line.asking += 1
                    return False
            if not seat.turn.acquire(timeout=self._within_s):
                raise LeftAlone("no answer in time")
        return seat.is_served

    def _ask_for_all(self, key: Key, line: _Line[Asked, Told], first: _Seat[Asked, Told]) -> None:
        self._let_others_come()
        with self._lock:
            behind = [line.waiting.popleft() for _ in range(min(self._at_most - 1, len(line.waiting)))]
        batch = [first, *behind]
        try:
            for seat, told in zip(batch, self._do(key, [seat.asked for seat in batch]), strict=True):
                seat.serve(told)
        except Exception as error:  # Everybody raises it.
            for seat in batch:
                seat.fail(error)
        finally:
            self._hand_over(key, line)
            for seat in behind:
                if not seat.is_served:
                    seat.fail(LeftAlone("who asked was ended in the middle"))
                seat.turn.release()

    def _hand_over(self, key: Key, line: _Line[Asked, Told]) -> None:
        """The oldest of those who came meanwhile asks next."""
        with self._lock:
            if line.waiting:
                line.waiting.popleft().turn.release()
                return
            line.asking -= 1
            if not line.asking:
                del self._lines[key]


def _look_around() -> Callable[[], None]:
    """How who asks first lets those come along who are ready to.

    Among greenlets that is whoever has something to read: the sockets are looked at once, without waiting, and who was
    found runs until it waits. It makes batches half as large again.
    """
    monkey = sys.modules.get("gevent.monkey")
    if monkey is None or not monkey.is_module_patched("socket"):
        return lambda: time.sleep(0)
    import gevent

    def look() -> None:
        gevent.idle(_BEFORE_ALL_ELSE)
        gevent.sleep(0)

    return look


_BEFORE_ALL_ELSE: Final = 2
"""The highest priority of libev: idle watchers of it are called after one look at the sockets, whatever was found."""


class _Seat(Generic[Asked, Told]):
    """One caller; its turn comes with its answer, or without one when it is to ask for all."""

    __slots__ = ("_error", "_told", "asked", "is_served", "turn")

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.turn = Lock()
        self.turn.acquire()
        self.is_served = False
        self._told: Told
        self._error: Exception | None = None

    def serve(self, told: Told) -> None:
        self._told, self.is_served = told, True

    def fail(self, error: Exception) -> None:
        self._error, self.is_served = error, True

    def answer(self) -> Told:
        if self._error is not None:
            raise self._error
        return self._told


@dataclass(slots=True)
class _Line(Generic[Asked, Told]):
    """Who waits behind those who are asking."""

    waiting: deque[_Seat[Asked, Told]] = field(default_factory=deque)
    asking: int = 1
