"""Connections whose answer waits: without a greenlet each, so that ten thousand of them cost little memory or time.

A greenlet takes 16 KiB for its stack alone, and a request with all that belongs to it some hundred objects that the
garbage collector looks at again and again. So the server gives the connection here, and its greenlet ends; what remains
is the socket and the answer (held.py). Once there is something to say a few greenlets say it, and the connection goes
on as any other: its next request has a greenlet again.
"""

from __future__ import annotations

import heapq
import socket
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

import gevent
import structlog
from gevent.event import Event
from gevent.pool import Group

from api.held import PULSE_S, Held, event
from api.quick_wire import head_of

log = structlog.get_logger(__name__)

SPEAKERS: Final = 16
"""Greenlets that say answers: a send does not wait but for a client that does not read."""
TICK_S: Final = 0.01
"""How exactly the end of a wait is met. As short, so that of ten thousand streams, each of which is told now and then
that it is there, few are at a time: whoever asks for something else meanwhile waits for all of those."""
READABLE: Final = 1
"""libev's EV_READ."""

GoOn = Callable[[Any], None]


@dataclass(slots=True, eq=False)
class _Parked:
    """One connection, and what is to be said on it."""

    held: Held
    sock: Any
    go_on: GoOn | None
    """Serves the connection's next request; None: it ends with this one."""
    watch: Any = None
    is_over: bool = False
    is_ready: bool = False
    """Whether it is among those that are to be answered."""
    is_gone: bool = False
    """Whether its client hung up."""


class Parking:
    """All that are parked in one process."""

    def __init__(self) -> None:
        self._parked: dict[Held, _Parked] = {}
        self._ready: deque[_Parked] = deque()
        self._due: list[tuple[float, int, _Parked]] = []
        self._numbers = count()
        self._something, self._anybody = Event(), Event()
        self._going_on = Group()
        self.is_closing = False
        """Set by whoever ends the process, be it in a signal handler: all are let go at the next tick."""

    def start(self) -> None:
        """Begin; after the fork, in the process that serves."""
        for _ in range(SPEAKERS):
            gevent.spawn(self._speak)
        gevent.spawn(self._tick)

    def park(self, held: Held, sock: Any, go_on: GoOn | None) -> None:
        """Keep *sock* until there is an answer, then have *go_on* serve it further."""
        parked = self._parked[held] = _Parked(held, sock, go_on)
        if held.is_stream and not self._begin_stream(parked):
            return
        self._wait(parked)
        held.on_news = self._hear
        if held.has_something or self.is_closing:  # It came between the reading and this.
            self._answer_soon(parked)

    def wait_for_all(self, within_s: float) -> None:
        """Until everybody was let go and answered."""
        with gevent.Timeout(within_s, exception=False):
            while self._parked:
                gevent.sleep(TICK_S)
            self._going_on.join()

    def _hear(self, held: Held) -> None:
        if (parked := self._parked.get(held)) is not None:
            self._answer_soon(parked)

    def _answer_soon(self, parked: _Parked) -> None:
        if not parked.is_ready and not parked.is_over:
            parked.is_ready = True
            self._ready.append(parked)
            self._something.set()

    def _wait(self, parked: _Parked) -> None:
        """Until it is due, its order moves or its client hangs up."""
        pulse = time.monotonic() + PULSE_S
        due = min(parked.held.ends_at, pulse) if parked.held.is_stream else parked.held.ends_at
        heapq.heappush(self._due, (due, next(self._numbers), parked))
        self._anybody.set()
        if parked.watch is None:
            parked.watch = gevent.get_hub().loop.io(parked.sock.fileno(), READABLE)
            parked.watch.start(self._look_after, parked)

    def _look_after(self, parked: _Parked) -> None:
        """Something can be read: the end of the connection, or what the client sends before its answer."""
        self._stop_watching(parked)
        try:
            parked.is_gone = parked.sock._sock.recv(1, socket.MSG_PEEK) == b""
        except OSError:
            parked.is_gone = True
        if parked.is_gone:
            self._answer_soon(parked)

    def _tick(self) -> None:
        while True:
            if not self._parked:
                self._anybody.clear()
                self._anybody.wait()
            gevent.sleep(TICK_S)
            if self.is_closing:
                for parked in list(self._parked.values()):
                    self._answer_soon(parked)
            now = time.monotonic()
            while self._due and self._due[0][0] <= now:
                self._answer_soon(heapq.heappop(self._due)[2])

    def _speak(self) -> None:
        while True:
            while not self._ready:
                self._something.clear()
                self._something.wait()
            parked = self._ready.popleft()
            parked.is_ready = False
            if not parked.is_over:
                try:
                    self._answer(parked)
                except Exception:
                    log.exception("held.broken")
                    self._end(parked, "broken")

    def _answer(self, parked: _Parked) -> None:
        if parked.is_gone:
            self._end(parked, "gone")
        elif parked.held.is_revoked:
            self._end(parked, "revoked")
        elif parked.held.is_stream:
            self._say_more(parked)
        else:
            self._say(parked)

    def _say(self, parked: _Parked) -> None:
        held = parked.held
        now = held.news
        told = held.as_it_was() if now is None else held.changed(now)
        stays = parked.go_on is not None and not self.is_closing
        if not self._send(parked, head_of(told, keeps=stays) + told.body):
            return
        self._stop_watching(parked)
        del self._parked[held]
        parked.is_over = True
        held.leave("unchanged" if now is None else "changed")
        if stays:
            self._going_on.start(gevent.Greenlet(parked.go_on, parked.sock))
        else:
            parked.sock.close()

    def _begin_stream(self, parked: _Parked) -> bool:
        parked.held.parts.streams.enter(parked.held)
        told = parked.held.as_it_was()
        return self._send(parked, head_of(told, keeps=False) + told.body)

    def _say_more(self, parked: _Parked) -> None:
        held = parked.held
        now = held.news
        if now is not None:
            held.learns(now)
        if not self._send(parked, b":\n\n" if now is None else event(held.parts, now, polls=held.polls)):
            return
        if held.known.is_final or self.is_closing or time.monotonic() >= held.ends_at:
            self._end(parked, "changed" if held.known.is_final else "unchanged")
        elif now is None:
            self._wait(parked)

    def _send(self, parked: _Parked, what: bytes) -> bool:
        """Whether the client took it, as far as one can tell."""
        try:
            parked.sock.sendall(what)
        except OSError:
            self._end(parked, "gone")
            return False
        return True

    def _end(self, parked: _Parked, how: str) -> None:
        """Close the connection, and wait no more."""
        parked.is_over = True
        self._stop_watching(parked)
        self._parked.pop(parked.held, None)
        with suppress(OSError):
            parked.sock.close()
        parked.held.leave(how)

    def _stop_watching(self, parked: _Parked) -> None:
        if parked.watch is not None:
            parked.watch.stop()
            parked.watch.close()
            parked.watch = None
