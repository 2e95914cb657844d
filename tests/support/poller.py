"""A poller that waits, as raw HTTP: what it sends and what it hears."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine

from shared.domain.states import OrderEvent, OrderState
from shared.store import moves
from shared.store.orders import Order
from tests.support.order_rows import an_order
from tests.support.served import Served


@dataclass(frozen=True, slots=True)
class Heard:
    """One answer, and how long it took to come."""

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float

    @property
    def document(self) -> dict[str, Any]:
        """The body as JSON."""
        said: dict[str, Any] = json.loads(self.body)
        return said

    @property
    def code(self) -> str:
        """status.messageCode."""
        return str(self.document["status"]["messageCode"])


@dataclass(slots=True)
class Poller:
    """One connection."""

    sock: socket.socket
    head: str
    _asked_at: float = field(default_factory=time.monotonic)
    _rest: bytes = b""

    def ask(self, number: str, method: str = "GET", **headers: str) -> None:
        """GET the status of an order, or ask for it by another *method*."""
        self.send(self.request(number, method, **headers))

    def request(self, number: str, method: str = "GET", **headers: str) -> bytes:
        """The head of what asks for the status of an order."""
        more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        return f"{method} /api/v1/c2a/offer/checkout/{number}/status HTTP/1.1\r\n{self.head}{more}\r\n".encode()

    def send(self, what: bytes) -> None:
        """Send *what* as it is; how long an answer took is counted from here."""
        self._asked_at = time.monotonic()
        self.sock.sendall(what)

    def answer(self) -> Heard:
        """The next answer."""
        status, headers = self.answer_head()
        body = self._exactly(int(headers.get("content-length", "0")))
        return Heard(status, headers, body, time.monotonic() - self._asked_at)

    def answer_head(self) -> tuple[int, dict[str, str]]:
        """The status and the headers of the next answer."""
        lines = self._until(b"\r\n\r\n").decode().splitlines()
        pairs = (line.partition(":") for line in lines[1:] if line)
        return int(lines[0].split()[1]), {name.lower(): value.strip() for name, _, value in pairs}

    def event(self) -> dict[str, str]:
        """The fields of the next event of a stream; {} where the stream ended."""
        try:
            said = self._until(b"\n\n").decode()
        except ConnectionError:
            return {}
        return {name: value.strip() for name, _, value in (line.partition(":") for line in said.splitlines())}

    def hears_nothing_for(self, seconds: float) -> bool:
        """Whether that long nothing comes."""
        self.sock.settimeout(seconds)
        try:
            self._rest += self.sock.recv(65_536)
        except TimeoutError:
            return not self._rest
        finally:
            self.sock.settimeout(30)
        return False

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._rest:
            self._more()
        said, _, self._rest = self._rest.partition(mark)
        return said

    def _exactly(self, length: int) -> bytes:
        while len(self._rest) < length:
            self._more()
        said, self._rest = self._rest[:length], self._rest[length:]
        return said

    def _more(self) -> None:
        more = self.sock.recv(65_536)
        if not more:
            raise ConnectionError("it was closed")
        self._rest += more


@contextmanager
def polling(served: Served) -> Iterator[Poller]:
    """A poller of the shop of *served*."""
    keys = "".join(f"{name}: {value}\r\n" for name, value in served.shop.headers.items())
    with served.connect() as sock:
        yield Poller(sock, f"Host: x\r\n{keys}")


def captured(engine: Engine, served: Served) -> Order:
    """An order of the shop that waits for its end."""
    return an_order(engine, OrderState.CAPTURED, tenant_id=served.shop.tenant_id)


def end(engine: Engine, order: Order) -> None:
    """Let it be done."""
    assert moves.advance(engine, order, OrderEvent.METHOD_STORED, actor="tokenize") is not None
