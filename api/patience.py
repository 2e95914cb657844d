"""How long a request's body may take to arrive, in all: a client that dribbles is told 408.

Gunicorn bounds neither a body's time nor a read's. The bound is on the whole body, because a client that sends a
byte a second meets every bound on a single read.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

import gevent
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import BadRequest, RequestTimeout

from api.quick import Told

BODY_S: Final = 10.0
"""64 KiB in ten seconds is 52 kbit/s: any line that can show a checkout page sends faster."""


class PatientBodies:
    """WSGI middleware: *app* with bodies that end, and its quick way (api/quick.py: at_once), if it has one."""

    def __init__(
        self,
        app: Callable[..., Iterable[bytes]],
        body_s: float = BODY_S,
        quick_way: Callable[[dict[str, Any]], Told | None] = lambda _: None,
    ) -> None:
        self._app, self._body_s, self._quick_way = app, body_s, quick_way

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Serve one request."""
        self._bound(environ)
        return self._app(environ, start_response)

    def at_once(self, environ: dict[str, Any]) -> Told | None:
        """As the quick way says."""
        self._bound(environ)
        return self._quick_way(environ)

    def _bound(self, environ: dict[str, Any]) -> None:
        body = environ["wsgi.input"]
        if not isinstance(body, io.BytesIO):  # What is here already needs no clock, and a clock costs 2 % of an order.
            environ["wsgi.input"] = PatientBody(body, time.monotonic() + self._body_s)


class PatientBody:
    """A body that must be read until *until* (monotonic seconds)."""

    def __init__(self, body: Any, until: float) -> None:
        self._body, self._until = body, until

    def read(self, size: int = -1) -> bytes:
        """The next bytes; raises RequestTimeout when they are late, BadRequest when their framing is broken."""
        return self._in_time(self._body.read, size)

    def readline(self, size: int = -1) -> bytes:
        """The next line, as read() would."""
        return self._in_time(self._body.readline, size)

    def _in_time(self, read: Callable[[int], bytes], size: int) -> bytes:
        late = RequestTimeout()
        if (left := self._until - time.monotonic()) <= 0:
            raise late
        try:
            with gevent.Timeout(left, late):
                return read(size)
        except ParseException:
            raise BadRequest from None  # Its text quotes the body.
