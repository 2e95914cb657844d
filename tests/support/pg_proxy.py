"""A proxy before PostgreSQL that counts round trips and can lose an answer on its way back.

It reads the server's side of the protocol (type byte, length, body): every round trip ends with one ReadyForQuery,
whatever library made it. An answer that is cut off was computed and committed; only its reader never learns.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy.engine import make_url

READY: Final = b"Z"
"""ReadyForQuery (PostgreSQL protocol 3.0, 55.7): the server has answered in full and, outside a block, committed."""


@dataclass(slots=True)
class PgProxy:
    """One address that leads to one server."""

    url: str
    round_trips: int = 0
    _cut: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    lost: threading.Event = field(default_factory=threading.Event)
    """Set once an answer was cut off."""

    def lose_next_answer(self) -> None:
        """Close the connection on which the next answer comes, after the server has given it."""
        self.lost.clear()
        self._cut.set()

    def _pump_answers(self, server: socket.socket, client: socket.socket) -> None:
        reader = server.makefile("rb")
        with reader, suppress(OSError):
            while head := reader.read(5):
                body = reader.read(int.from_bytes(head[1:5]) - 4)
                if head[:1] == READY:
                    with self._lock:
                        self.round_trips += 1
                        cut = self._cut.is_set()
                        self._cut.clear()
                    if cut:
                        self.lost.set()
                        break
                elif self._cut.is_set():
                    continue  # The parts of the answer that is being lost.
                client.sendall(head + body)
        _close(client)
        _close(server)


@contextmanager
def before(database_url: str) -> Iterator[PgProxy]:
    """A proxy before the server of *database_url*."""
    real = make_url(database_url)
    assert real.host is not None
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        plain = {"sslmode": "disable", "gssencmode": "disable"}  # Or the first byte would be no message.
        url = real.set(host="127.0.0.1", port=port).update_query_dict(plain)
        proxy = PgProxy(url.render_as_string(hide_password=False))
        threads: list[threading.Thread] = []
        accepting = threading.Thread(target=_accept, args=(proxy, listener, (real.host, real.port or 5432), threads))
        accepting.start()
        try:
            yield proxy
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            for thread in [accepting, *threads]:
                thread.join(5)


def _accept(
    proxy: PgProxy, listener: socket.socket, server_at: tuple[str, int], threads: list[threading.Thread]
) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        server = socket.create_connection(server_at)
        for target, args in ((_pump, (client, server)), (proxy._pump_answers, (server, client))):
            threads.append(threading.Thread(target=target, args=args, daemon=True))
            threads[-1].start()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            sink.sendall(data)
    _close(sink)
    _close(source)


def _close(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
