"""Listens to a running stack's servers while something happens: Redis' MONITOR, and PostgreSQL's pg_stat_activity."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import psycopg

LOOK_EVERY_S = 0.02
"""How often pg_stat_activity is read: a statement stays in it until its connection's next."""


class Recording:
    """What was heard so far."""

    def __init__(self) -> None:
        self._heard: dict[bytes, None] = {}
        self._lock = threading.Lock()

    def hear(self, piece: bytes) -> None:
        """Keep *piece*; said twice is kept once."""
        with self._lock:
            self._heard[piece] = None

    def content(self) -> bytes:
        """All of it, in the order in which it was heard first."""
        with self._lock:
            return b"\n".join(self._heard)


@contextmanager
def monitored(url: str) -> Iterator[Recording]:
    """Every command the Redis at *url* is given within."""
    address = urlsplit(url)
    heard, ended = Recording(), threading.Event()
    with socket.create_connection((address.hostname, address.port)) as conn:
        conn.sendall(f"AUTH {address.password}\r\nMONITOR\r\n".encode())
        lines = conn.makefile("rb")
        assert [lines.readline(), lines.readline()] == [b"+OK\r\n"] * 2

        def listen() -> None:
            for line in lines:
                heard.hear(line)
            ended.set()  # Also where the server was killed.

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            yield heard
        finally:
            if not ended.is_set():
                conn.shutdown(socket.SHUT_RDWR)
            thread.join()


@contextmanager
def activity_of(dsn: str) -> Iterator[Recording]:
    """The statements pg_stat_activity shows within, as *dsn*'s role sees them; a server that is away is asked again."""
    heard, ending = Recording(), threading.Event()

    def look() -> None:
        try:
            with psycopg.connect(dsn, autocommit=True) as conn:
                while not ending.wait(LOOK_EVERY_S):
                    for (query,) in conn.execute("SELECT query FROM pg_stat_activity"):
                        heard.hear((query or "").encode())
        except psycopg.OperationalError:
            return

    def keep_looking() -> None:
        while not ending.wait(LOOK_EVERY_S):
            look()

    thread: threading.Thread = _started(keep_looking)
    try:
        yield heard
    finally:
        ending.set()
        thread.join()


def _started(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread
