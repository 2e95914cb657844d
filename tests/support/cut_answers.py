"""A proxy before the API that loses an answer: the call arrives, the API does its work, and nobody is told."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass(slots=True)
class AnswerCutter:
    """One address that leads to one server."""

    url: str
    _server_at: tuple[str, int]
    lost: int = 0
    """How many answers were lost so far."""
    _to_lose: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def lose_next(self, count: int = 1) -> None:
        """Lose the next *count* answers, each with its connection."""
        with self._lock:
            self._to_lose = count

    def serve(self, client: socket.socket) -> None:
        """Carry one connection both ways until it ends, or is cut."""
        with suppress(OSError), client, socket.create_connection(self._server_at) as server:
            answering = threading.Thread(target=self._pump_answers, args=(server, client), daemon=True)
            answering.start()
            with suppress(OSError):
                while data := client.recv(1 << 16):
                    server.sendall(data)
            _end(server)
            answering.join(10)

    def _pump_answers(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(1 << 16):
                if self._is_lost():
                    break
                client.sendall(data)
        _end(client)
        _end(server)

    def _is_lost(self) -> bool:
        with self._lock:
            if not self._to_lose:
                return False
            self._to_lose -= 1
            self.lost += 1
            return True


@contextmanager
def before(base_url: str) -> Iterator[AnswerCutter]:
    """A cutter before the API at *base_url*."""
    real = urlsplit(base_url)
    assert real.hostname is not None
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        cutter = AnswerCutter(address, (real.hostname, real.port or 80))
        accepting = threading.Thread(target=_accept, args=(cutter, listener))
        accepting.start()
        try:
            yield cutter
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join(5)


def _accept(cutter: AnswerCutter, listener: socket.socket) -> None:
    with suppress(OSError):
        while True:
            client, _ = listener.accept()
            threading.Thread(target=cutter.serve, args=(client,), daemon=True).start()


def _end(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
