"""Pollers who wait, ten thousand of one thread, a connection each: most read a stream, the others ask again and again.

Of a stream one hears at once that it is there, so the next ones come when the server is ready for them. A held poll
says nothing until its end: ten thousand of those, asking again, would be a load of their own of 330 polls a second.
"""

from __future__ import annotations

import resource
import selectors
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from deploy.measure.traffic import Invalid
from deploy.stack.ports import HOST

WAIT_S: Final = 30
"""What each prefers: the longest there is."""
POLL: Final = 10
"""One in so many polls, the others read streams."""
AT_ONCE: Final = 16
"""Streams that are begun at the same time: so few that nobody waits long for a connection to PostgreSQL."""
BEGUN_WITHIN_S: Final = 30.0
SPARE: Final = 500
"""Descriptors a process needs beside its connections."""
LOOK_S: Final = 0.2
DONE: Final = b"CHECK_OUT_DONE"
HEAD_ENDS: Final = b"\r\n\r\n"


@dataclass(slots=True)
class _One:
    """One poller."""

    sock: socket.socket
    number: str
    request: bytes
    is_stream: bool
    heard: bytes = b""


class Waiters:
    """All of them."""

    def __init__(self, port: int, headers: Mapping[str, str], path: str) -> None:
        """Pollers at the API at *port*; *path*: where an order's status is, with {} for its number."""
        self._port, self._path = port, path
        self._lines = "".join(f"{name}: {value}\r\n" for name, value in {"Host": HOST, **headers}.items())
        self._selector = selectors.DefaultSelector()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="waiters")
        self._may_begin = threading.Semaphore(AT_ONCE)
        self.done_at: dict[str, float] = {}
        """When each heard of its order's end, by the monotonic clock."""
        self.unchanged = 0
        """Answers that said that nothing happened."""
        self.broken: list[str] = []
        """What no poller should see."""

    def open(self, numbers: Sequence[str]) -> None:
        """One poller for each of *numbers*. Raises Invalid where this process may not have as many connections."""
        if (most := _may_open()) < len(numbers) + SPARE:
            raise Invalid(f"this process may open {most} files; ulimit -n {len(numbers) + SPARE} is needed")
        self._thread.start()
        for already, number in enumerate(numbers):
            is_stream = already % POLL > 0
            if is_stream and not self._may_begin.acquire(timeout=BEGUN_WITHIN_S):
                raise Invalid(f"a stream did not begin within {BEGUN_WITHIN_S:g} s; {already} did")
            # They do not ask again all at the same time: the first wait of each has another length.
            first_s = 1 + already * (WAIT_S - 1) // len(numbers)
            begins, request = (self._request(number, is_stream, wait_s) for wait_s in (first_s, WAIT_S))
            sock = socket.create_connection((HOST, self._port), timeout=BEGUN_WITHIN_S)
            sock.sendall(begins)
            sock.setblocking(False)  # noqa: FBT003
            self._selector.register(sock, selectors.EVENT_READ, _One(sock, number, request, is_stream))

    def _request(self, number: str, is_stream: bool, wait_s: int) -> bytes:
        asks = "Accept: text/event-stream" if is_stream else f"Prefer: wait={wait_s}"
        return f"GET {self._path.format(number)} HTTP/1.1\r\n{self._lines}{asks}\r\n\r\n".encode()

    def close(self) -> None:
        """Hang up, all of them."""
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()
        for key in list(self._selector.get_map().values()):
            key.data.sock.close()
        self._selector.close()

    def _work(self) -> None:
        while not self._over.is_set():
            for key, _ in self._selector.select(LOOK_S):
                try:
                    self._hear(key.data)
                except OSError as error:
                    self._lose(key.data, type(error).__name__)

    def _hear(self, one: _One) -> None:
        said = one.sock.recv(65_536)
        if not said:
            self._lose(one, "closed")
            return
        one.heard += said
        if one.is_stream:
            self._read_on(one)
        else:
            self._answered(one)

    def _read_on(self, one: _One) -> None:
        """What came of a stream, in whole lines: its head, which is one of them here, or an event."""
        whole, ends, one.heard = one.heard.rpartition(b"\n\n")
        if not ends:
            one.heard = whole + one.heard
        elif DONE in whole:
            self._is_done(one)
        elif whole.startswith(b"HTTP/1.1 200 "):
            self._may_begin.release()
        elif whole.startswith(b"HTTP/"):
            self._lose(one, whole[:12].decode())

    def _answered(self, one: _One) -> None:
        head, ends, body = one.heard.partition(HEAD_ENDS)
        if not ends or len(body) < _length(head):
            return
        one.heard = b""
        if not head.startswith(b"HTTP/1.1 200 "):
            self._lose(one, head[:12].decode())
        elif DONE in body:
            self._is_done(one)
        else:
            self.unchanged += 1
            one.sock.send(one.request)

    def _is_done(self, one: _One) -> None:
        self.done_at[one.number] = time.monotonic()
        self._hang_up(one)

    def _lose(self, one: _One, why: str) -> None:
        self.broken.append(why)
        self._may_begin.release()
        self._hang_up(one)

    def _hang_up(self, one: _One) -> None:
        self._selector.unregister(one.sock)
        one.sock.close()


def _length(head: bytes) -> int:
    found = head.lower().partition(b"content-length:")[2]
    return int(found.split(b"\r\n", 1)[0]) if found else 0


def _may_open() -> int:
    """How many descriptors this process may have, now that it took all it may."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    soft: Any = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return int(soft)
