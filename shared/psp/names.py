"""Looks names up for calls that must end, so that one nobody answers for holds up no other.

A look-up that runs cannot be ended, and the system's takes 10 s and more to give up. So it runs in a thread, and who
waits for it leaves when their own time is over. Threads are bounded, and so is what one name may hold of them: callers
of a name share the look-up that is under way, and get a second beside it once that is late, for perhaps only its packet
was lost. A tenant whose name servers are silent thus holds two threads, however many events wait for it.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import RLock
from typing import Any, Final

from shared.psp.port import CONNECT_TIMEOUT_S

THREADS: Final = 64
"""Thirty names that nobody answers for, and room for those that somebody does."""
PER_NAME: Final = 2
LATE_S: Final = CONNECT_TIMEOUT_S / 2
"""When a look-up is late: whoever comes then has time left for another to be answered."""

Found = list[Any]


@dataclass(slots=True, eq=False)
class _LookUp:
    """One that is under way, since when (monotonic seconds), and for how many callers."""

    found: Future[Found]
    since: float
    callers: int = 0


class Names:
    """Who looks names up in one process, for its threads or greenlets."""

    def __init__(self, resolve: Callable[..., Found]) -> None:
        self._resolve = resolve
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="psp-names")
        self._lock = RLock()  # A look-up that is cancelled says that it is over to whoever cancelled it.
        self._under_way: dict[str, list[_LookUp]] = {}

    def look_up(self, host: str, port: int, within_s: float) -> Found:
        """What the resolver says of *host*. Raises TimeoutError after *within_s*, or what the resolver raises."""
        one = self._join(host, port)
        try:
            return one.found.result(max(0.0, within_s))
        finally:
            self._leave(one)

    def _join(self, host: str, port: int) -> _LookUp:
        """The look-up of *host* that answers soonest, one more where there is none or the last is late."""
        with self._lock:
            now = time.monotonic()
            running = [one for one in self._under_way.get(host, ()) if not one.found.done()]
            if not running or (len(running) < PER_NAME and now - running[-1].since >= LATE_S):
                running.append(self._begin(host, port, now))
            running[-1].callers += 1
            return running[-1]

    def _begin(self, host: str, port: int, now: float) -> _LookUp:
        one = _LookUp(self._threads.submit(self._resolve, host, port, type=socket.SOCK_STREAM), now)
        self._under_way.setdefault(host, []).append(one)
        one.found.add_done_callback(lambda _: self._end(host, one))
        return one

    def _leave(self, one: _LookUp) -> None:
        """Nobody is looked up for whom nobody waits: what has no thread yet is given up."""
        with self._lock:
            one.callers -= 1
            if not one.callers:
                one.found.cancel()

    def _end(self, host: str, one: _LookUp) -> None:
        with self._lock:
            self._under_way[host].remove(one)
            if not self._under_way[host]:
                del self._under_way[host]
