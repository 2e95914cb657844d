"""What our server does otherwise than gunicorn's gevent worker: it waits for nobody forever and quotes nobody.

Gunicorn answers a malformed request with a page that quotes it and logs the quote; a quote may be a card. It also
waits on a client that never reads, and at shutdown on every idle connection.
"""

from __future__ import annotations

import io
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http import HTTPStatus
from types import FrameType
from typing import Any, Final, NoReturn

import gevent
import structlog
from gunicorn.http import errors
from gunicorn.workers.base_async import AsyncWorker
from gunicorn.workers.ggevent import GeventWorker

from api import garbage, handed_on, quick_wire
from api.held import Held, seated
from api.parking import Parking

log = structlog.get_logger(__name__)

SEND_S: Final = 30.0
"""How long one answer may take to be taken; the largest is 1.5 MB of documentation page."""
LINGER_S: Final = 1.0
"""How long we listen to the rest of what we refuse, so that the refusal arrives."""

_BROKEN: Final = [500, "INTERNAL_SERVER_ERROR"]
_REFUSED: Final = (
    (errors.LimitRequestHeaders, 431, "REQUEST_HEADERS_TOO_LARGE"),
    (errors.LimitRequestLine, 414, "REQUEST_URI_TOO_LONG"),
    (errors.InvalidResponseHeader, *_BROKEN),
    (errors.InvalidResponseHeaderName, *_BROKEN),
    (errors.ParseException, 400, "BAD_REQUEST"),
    (MemoryError, 503, "SERVICE_UNAVAILABLE"),
)


class Worker(GeventWorker):  # type: ignore[misc]  # gunicorn has no types.
    """One process of the API."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._clients: dict[gevent.Greenlet, Any] = {}
        self._idle: set[gevent.Greenlet] = set()
        self._listeners: dict[gevent.Greenlet, Any] = {}
        self._requests: dict[gevent.Greenlet, tuple[Any, Any]] = {}
        """Which request each greenlet serves by gunicorn's way, and from where it came."""
        self._parking: Parking | None = None

    def run(self) -> None:
        """Serve until told to end, and then until every answer that waits was given."""
        garbage.settle()
        self._parking = Parking()
        self._parking.start()
        super().run()
        self._parking.wait_for_all(self.cfg.graceful_timeout)

    @contextmanager
    def timeout_ctx(self) -> Iterator[None]:
        """Around waiting for the next request of a connection: so long, and known to whoever shuts us down."""
        me = gevent.getcurrent()
        self._idle.add(me)
        try:
            with gevent.Timeout(self.cfg.keepalive, exception=False):
                yield
        finally:
            self._idle.discard(me)

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        """Serve one connection; sends to it have an end."""
        client.settimeout(SEND_S)
        me = gevent.getcurrent()
        self._clients[me], self._listeners[me] = client, listener
        try:
            AsyncWorker.handle(self, listener, client, addr)
        finally:
            del self._clients[me], self._listeners[me]

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> None:
        """Serve one request: by the quick way of our API where that knows an answer, else as gunicorn does."""
        if self._is_answered_at_once(listener_name, req, sock, addr):
            return
        me = gevent.getcurrent()
        self._requests[me] = req, addr
        try:
            super().handle_request(listener_name, req, sock, addr)
        finally:
            handed_on.hand_on(None)
            del self._requests[me]

    def is_already_handled(self, respiter: Any) -> bool:
        """Whether gunicorn has nothing more to do: the answer is to wait, so its connection is taken and parked."""
        if not isinstance(respiter, Held):
            return False
        return self._park(respiter, *self._requests[gevent.getcurrent()])

    def _park(self, held: Held, req: Any, addr: Any) -> NoReturn:
        """Take the connection of this greenlet, which ends: gunicorn takes StopIteration for it."""
        assert self._parking is not None, "it begins before the first request"
        me = gevent.getcurrent()
        taken = socket.socket(fileno=self._clients[me].detach())
        taken.settimeout(SEND_S)
        # What came behind the request was read with it and is lost: its client sees the connection end and asks again.
        ends = req.should_close() or req.unreader.take_buffered()
        self._parking.park(held, taken, None if ends else partial(self._go_on, self._listeners[me], addr))
        raise StopIteration

    def _go_on(self, listener: Any, addr: Any, client: Any) -> None:
        self.handle(listener, client, addr)

    def _is_answered_at_once(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> bool:
        at_once = getattr(self.wsgi, "at_once", None)
        if at_once is None or not self.alive or self.log.access_log_enabled:
            return False
        environ = quick_wire.environ_of(req, listener_name)
        seat = None if environ is None else seated(environ)
        told = None if environ is None else at_once(environ)
        if told is None:
            if environ is not None and isinstance(environ["wsgi.input"], io.BytesIO):
                req.body = environ["wsgi.input"]  # It was read, and is read again.
            return False
        self.nr += 1
        if seat is not None and seat.held is not None:
            seat.held.head, seat.held.body = (told.status, list(told.headers)), told.body
            self._park(seat.held, req, addr)
        quick_wire.send(sock, told)
        return True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM: finish what runs, answer who waits, hear no more from who only might ask again.

        Only the reading side is shut: a request that is already here is still served and answered.
        """
        super().handle_exit(sig, frame)
        if self._parking is not None:
            self._parking.is_closing = True
        for greenlet in self._idle:
            with suppress(OSError):  # It hung up by itself.
                self._clients[greenlet].shutdown(socket.SHUT_RD)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:  # noqa: ARG002
        """Refuse what never became a request, in the envelope."""
        if isinstance(exc, gevent.GreenletExit):
            return
        status, code = next((answer for kind, *answer in _REFUSED if isinstance(exc, kind)), _BROKEN)
        log.warning("request.malformed" if status != _BROKEN[0] else "request.broken", error=type(exc).__name__)
        body = json.dumps({"status": {"messageCode": code}})
        head = f"HTTP/1.1 {status} {code}\r\nConnection: close\r\nContent-Type: application/json\r\n"
        head += "Retry-After: 1\r\n" if status == HTTPStatus.SERVICE_UNAVAILABLE else ""
        with suppress(OSError), gevent.Timeout(LINGER_S, exception=False):
            client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
            # To close with bytes unread would reset the connection, and the answer with it.
            client.shutdown(socket.SHUT_WR)
            while client.recv(65_536):
                pass
