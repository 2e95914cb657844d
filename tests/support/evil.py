"""A TCP server that treats its caller badly: for deadlines that must hold whatever the other side does."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Behaviour = Callable[[socket.socket, threading.Event], None]


@contextmanager
def serving(behave: Behaviour) -> Iterator[str]:
    """The base URL of a server that does *behave* to each connection until the test ends."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_accept, args=(listener, behave, over))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            over.set()
            thread.join()


def dribbled(head: bytes, drop: bytes, *, every_s: float) -> Behaviour:
    """After *head*, send *drop* again and again, for ever."""

    def behave(conn: socket.socket, over: threading.Event) -> None:
        conn.sendall(head)
        while not over.wait(every_s):
            conn.sendall(drop)

    return behave


def silent(conn: socket.socket, over: threading.Event) -> None:
    """Take everything, say nothing."""
    over.wait()


def cut_at_once(conn: socket.socket, over: threading.Event) -> None:
    """Read a little, then close."""
    conn.recv(16)


def saying(answer: bytes) -> Behaviour:
    """Read the request's head, send *answer*, close."""

    def behave(conn: socket.socket, over: threading.Event) -> None:
        conn.recv(65_536)
        conn.sendall(answer)

    return behave


def after_all_of_it(answer: bytes) -> Behaviour:
    """Read the whole request, then send *answer*: who hangs up on half a request is not heard."""

    def behave(conn: socket.socket, over: threading.Event) -> None:
        asked = conn.recv(65_536)
        end = b"}" if asked.startswith(b"POST") else b"\r\n\r\n"
        while not asked.endswith(end) and (more := conn.recv(65_536)):
            asked += more
        conn.sendall(answer)

    return behave


def _accept(listener: socket.socket, behave: Behaviour, over: threading.Event) -> None:
    listener.settimeout(0.05)
    handlers = []
    while not over.is_set():
        try:
            conn, _ = listener.accept()
        except TimeoutError:
            continue
        handlers.append(threading.Thread(target=_handle, args=(conn, behave, over)))
        handlers[-1].start()
    for handler in handlers:
        handler.join()


def _handle(conn: socket.socket, behave: Behaviour, over: threading.Event) -> None:
    with conn:
        try:
            behave(conn, over)
        except OSError:
            return  # The caller hung up on us: what the test wants.
