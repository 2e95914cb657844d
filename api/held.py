"""An answer that waits: what a poller is told once its order moves, or once they have waited for long enough.

The route answers as it would at once (api/checkout.py) and says that the answer may be held. What it said is kept as
bytes: it is the answer if nothing happens, and the headers that name the request are those of the other one, too. So
nothing of a request is kept while it waits but this; it costs no thread, no greenlet and no look at the database.

A stream is the same, again and again. Its connection ends with it: that is how long it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import Any, Final, cast
from uuid import UUID

import structlog

from api.envelope import encoded
from api.follow_up import caching, result_of
from api.parts import Parts
from api.quick import Told
from shared.domain.states import CheckoutCode
from shared.store.keys import Caller
from shared.store.status import Status

log = structlog.get_logger(__name__)

PULSE_S: Final = 15.0
"""A stream says so often that it is there: proxies cut what is silent for a minute, some for half of one."""
STREAM_S: Final = 900.0
"""How long a stream may live: as long as a challenge. Its reader comes back by itself."""
COME_BACK_MS: Final = 2_000
"""When the reader of a stream that broke asks again: what a poll waits for."""

Headers = list[tuple[str, str]]
_PLACE: Final = "c2a.held"
_MAY_WAIT: Final = frozenset({200, 304})
_OF_ITS_BODY: Final = frozenset({"content-length", "content-type", "etag", "cache-control", "retry-after"})


@dataclass(slots=True, eq=False)
class Held:
    """One answer that waits. *known* is what the caller is told now; until it is read, nothing."""

    parts: Parts
    caller: Caller
    tracking_number: str
    wait_s: float
    """How long it may be held, in all."""
    is_stream: bool
    known: Status
    media_type: str
    request_id: str
    polls: int
    """How many polls of its order an answer tells of, the one that waits included; 0: nobody could count."""
    began: float = field(default_factory=time.monotonic)
    head: tuple[str, Headers] = ("", [])
    body: bytes = b""
    heard: Status | None = None
    """What came while the caller waited, the newest of it. It may have come before the route had read the order, and
    then be what the caller was told: news says."""
    on_news: Callable[[Held], None] | None = None
    """Whom to tell of it."""
    is_revoked: bool = False
    """Whether the caller's key was revoked while their stream went on."""

    @property
    def tenant_id(self) -> UUID:
        """Whose order it is."""
        return self.caller.tenant_id

    @property
    def key_id(self) -> str:
        """By which key it was asked for."""
        return self.caller.key_id

    @property
    def code(self) -> CheckoutCode:
        """Where the order stands as far as the caller was told."""
        return self.known.code

    @property
    def ends_at(self) -> float:
        """Until when it may be held, by the monotonic clock."""
        return self.began + self.wait_s

    @property
    def news(self) -> Status | None:
        """What the caller is not told yet; None: nothing that the public sees otherwise."""
        now, known = self.heard, self.known
        return now if now is not None and now.version > known.version and now.face != known.face else None

    def hear(self, now: Status) -> None:
        """The order stands there now, or did: of two who read it the later may come first."""
        if self.heard is not None and now.version <= self.heard.version:
            return
        self.heard = now
        self._rouse()

    def revoke(self) -> None:
        """The caller may hear no more."""
        self.is_revoked = True
        self._rouse()

    @property
    def has_something(self) -> bool:
        """Whether there is something to do about it before its time."""
        return self.is_revoked or self.news is not None

    def _rouse(self) -> None:
        if self.on_news is not None and self.has_something:
            self.on_news(self)

    def learns(self, now: Status) -> None:
        """The caller is told *now*.

        With a redirect nothing begins again: the shopper is only asked to go. It does when they are back - the order
        has left the challenge the caller knew of - for then whoever brings the news has the count forgotten
        (api/limits.py: forget_polls), and the next poll is the first of a new wait. So what is told of it counts none.
        """
        if self.code is CheckoutCode.CHALLENGED and now.code is not CheckoutCode.CHALLENGED:
            self.polls = 0
        self.known = now

    def as_it_was(self) -> Told:
        """What the route said."""
        status, headers = self.head
        return Told(status, _without(headers, {"content-length"}) if self.is_stream else headers, self.body)

    def changed(self, now: Status) -> Told:
        """The answer that says where the order stands now."""
        self.learns(now)
        # Who speaks for the waiting lets nobody in between (parking.py): so nothing is asked for.
        result = result_of(self.parts, now, polls=self.polls, outlooks=self.parts.outlooks.as_known())
        body = encoded(result.wire()).encode()
        own = {"Content-Type": self.media_type, "Content-Length": str(len(body)), **caching(result, now)}
        return Told("200 OK", [*_without(self.head[1], _OF_ITS_BODY), *own.items()], body)

    def leave(self, how: str) -> None:
        """It is held no more."""
        self.parts.waiting.leave(self)
        if self.is_stream:
            self.parts.streams.leave(self)
        log.info(
            "request.held",
            how=how,
            request_id=self.request_id,
            waited_ms=round((time.monotonic() - self.began) * 1_000),
        )


def event(parts: Parts, now: Status, *, polls: int) -> bytes:
    """*now* as an event of a stream; its id names what was told."""
    result = result_of(parts, now, polls=polls, outlooks=parts.outlooks.as_known())
    document = encoded(result.wire())
    return f"retry: {COME_BACK_MS}\nid: {now.face}\ndata: {document}\n\n".encode()


@dataclass(slots=True)
class Seat:
    """Where a request says that its answer is to be held."""

    held: Held | None = None


def seat_of(environ: Mapping[str, Any]) -> Seat | None:
    """The seat of a request; None where the server in front of it cannot hold an answer."""
    return environ.get(_PLACE)


def seated(environ: dict[str, Any]) -> Seat | None:
    """A seat for a request whose server can hold its answer; None where it must not.

    Only a GET's: what is told after a wait has a body, and the answer to a HEAD must not. And of no request that
    announced a body. One that nobody read stands before the next request on its connection; gunicorn's parser knows
    that and throws it away, but a connection whose answer was held goes on with a new parser (parking.py). That would
    take the body for a request - behind a proxy that lends one connection to many, for one with the next caller's key.
    """
    has_body = environ.get("CONTENT_LENGTH", "0") != "0" or "HTTP_TRANSFER_ENCODING" in environ
    if has_body or environ["REQUEST_METHOD"] != "GET":
        return None
    seat = environ[_PLACE] = Seat()
    return seat


class Holding:
    """WSGI middleware: a held answer goes to the server as a Held, and the server knows how to wait (parking.py)."""

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self._app = app

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Serve one request."""
        seat = seated(environ)
        if seat is None:
            return self._app(environ, start_response)

        def start(status: str, headers: Headers, exc_info: Any = None) -> Any:
            if seat.held is not None and int(status[:3]) in _MAY_WAIT:
                seat.held.head = (status, headers)
                return None
            if seat.held is not None:  # What came after the route found fault with it.
                seat.held.leave("refused")
                seat.held = None
            return start_response(status, headers, exc_info)

        answer = self._app(environ, start)
        if seat.held is None:
            return answer
        seat.held.body = b"".join(_all_of(answer))
        return cast("Iterable[bytes]", seat.held)  # WSGI has no word for it; our worker knows it.


def _all_of(answer: Iterable[bytes]) -> Iterator[bytes]:
    try:
        yield from answer
    finally:
        if hasattr(answer, "close"):
            answer.close()


def _without(headers: Headers, names: Set[str]) -> Headers:
    return [(name, value) for name, value in headers if name.lower() not in names]
