"""A proxy before PostgreSQL that cuts a connection between a chosen statement and its answer.

Either the server has answered and the answer is lost, or (late) the client is cut off first and the statement arrives
when the test lets it: then nothing of it can be seen at the time the client looks for it.
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
SYNC: Final = b"S\x00\x00\x00\x04"
"""Sync (ibid.): ends the extended query, or the pipeline of them, that is one transaction."""
ARRIVES_WITHIN_S: Final = 20.0
"""A statement takes milliseconds; a busy machine may need more."""


@dataclass(slots=True)
class _Order:
    """One cut that was asked for: at the next message that holds *text*."""

    text: bytes
    late: bool


@dataclass(slots=True)
class Cutter:
    """One address that leads to one server."""

    url: str
    _server_at: tuple[str, int]
    _order: _Order | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _let: threading.Event = field(default_factory=threading.Event)
    _arrived: threading.Event = field(default_factory=threading.Event)
    cuts: int = 0
    """How many connections were cut so far."""

    def cut_at(self, text: str, *, late: bool = False) -> None:
        """Cut the connection that sends the next statement holding *text*."""
        self._let.clear()
        self._arrived.clear()
        self._order = _Order(text.encode(), late)

    def arrived(self) -> None:
        """Let a late statement go, return once it has had its effect; fails if the cut never came."""
        self._let.set()
        assert self._arrived.wait(ARRIVES_WITHIN_S), "no connection was cut"

    def lead_to(self, database_url: str) -> None:
        """Connections made from now on lead to another server, as those to an address do that moved in a failover."""
        self._server_at = _place_of(database_url)

    def serve(self, client: socket.socket) -> None:
        """Pump one connection both ways until it ends, or is cut; one to a server that is away just ends."""
        with suppress(ConnectionRefusedError), client, socket.create_connection(self._server_at) as server:
            muted = threading.Event()
            answering = threading.Thread(target=self._pump_answers, args=(server, client, muted), daemon=True)
            answering.start()
            with suppress(OSError):
                while data := client.recv(1 << 20):
                    cut = self._taken_by(data)
                    if cut is not None:
                        data += _rest(client, data)
                        muted.set()
                        if cut.late:
                            _end(client)
                            self._let.wait(ARRIVES_WITHIN_S)
                        server.sendall(data)
                        answering.join(ARRIVES_WITHIN_S)
                        return
                    server.sendall(data)
            _end(server)
            answering.join(ARRIVES_WITHIN_S)

    def _taken_by(self, data: bytes) -> _Order | None:
        """The cut that *data* is to meet, if it is."""
        with self._lock:
            order = self._order
            if order is None or order.text not in data:
                return None
            self._order = None
            self.cuts += 1
            return order

    def _pump_answers(self, server: socket.socket, client: socket.socket, muted: threading.Event) -> None:
        reader = server.makefile("rb")
        with reader, suppress(OSError):
            while head := reader.read(5):
                body = reader.read(int.from_bytes(head[1:5]) - 4)
                if not muted.is_set():
                    client.sendall(head + body)
                elif head[:1] == READY:
                    self._arrived.set()
                    break
        _end(client)
        _end(server)


@contextmanager
def before(database_url: str) -> Iterator[Cutter]:
    """A cutter before the server of *database_url*."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        plain = {"sslmode": "disable", "gssencmode": "disable"}  # Or the first byte would be no message.
        url = make_url(database_url).set(host="127.0.0.1", port=listener.getsockname()[1]).update_query_dict(plain)
        cutter = Cutter(url.render_as_string(hide_password=False), _place_of(database_url))
        accepting = threading.Thread(target=_accept, args=(cutter, listener))
        accepting.start()
        try:
            yield cutter
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join(5)


def _place_of(database_url: str) -> tuple[str, int]:
    real = make_url(database_url)
    assert real.host is not None
    return real.host, real.port or 5432


def _accept(cutter: Cutter, listener: socket.socket) -> None:
    with suppress(OSError):
        while True:
            client, _ = listener.accept()
            threading.Thread(target=cutter.serve, args=(client,), daemon=True).start()


def _rest(client: socket.socket, data: bytes) -> bytes:
    """What still belongs to a statement that began with *data*: all up to its Sync, which may be sent by itself.

    Without it the server would wait, and commit nothing. A simple query needs none.
    """
    rest = b""
    while not (data.startswith(b"Q") or SYNC in data + rest):
        rest += client.recv(1 << 20)
    return rest


def _end(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
