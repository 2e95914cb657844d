"""The quick way: the two requests of which nearly all traffic is made, answered without Flask.

An order and a poll pass the same checks in the same order as behind Flask (api/app.py), by the same functions; what is
spared is what Flask does for any request and these do not need: contexts, signals, URL building, header objects. It is
a third of the processor time of a poll. Only what is plain is answered here. Whatever is not - a key to be looked up, a
refusal, an error, a header that asks for something else - is handed on, and Flask answers it as if it had come to it
first; so there is one place that knows how to refuse (api/errors.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Protocol

import structlog

from api import handed_on, request_log
from api.auth import Callers
from api.handed_on import SoFar
from shared.config import Mode
from shared.store import tenancy
from shared.store.keys import Caller, KeyRole

log = structlog.get_logger(__name__)

Environ = dict[str, Any]
Wsgi = Callable[[Environ, Any], Iterable[bytes]]

PLAIN_ACCEPT: Final = frozenset({None, "*/*", "application/json"})
"""What `Accept` may say where it changes nothing."""
_ASKS_FOR_MORE: Final = (
    "HTTP_RANGE",
    "HTTP_IF_MATCH",
    "HTTP_TRANSFER_ENCODING",
    "HTTP_CONTENT_ENCODING",
)


@dataclass(frozen=True, slots=True)
class Told:
    """An answer: the status line, headers of its own, the body."""

    status: str
    headers: Sequence[tuple[str, str]]
    body: bytes


class Route(Protocol):
    """One request the quick way knows."""

    method: ClassVar[str]
    reads_status: ClassVar[bool]

    def named(self, path: str) -> tuple[str, Mapping[str, str]] | None:
        """The rule of Flask's that *path* meets and what it names; None: it is not this route's."""

    def answer(self, environ: Environ, caller: Caller, named: Mapping[str, str], so_far: SoFar) -> Told | None:
        """The answer, None to hand it on; notes in *so_far* what must not happen again. Raises what it meets."""


class Quick:
    """WSGI middleware before *behind*, which is Flask."""

    def __init__(self, behind: Wsgi, routes: Sequence[Route], callers: Callers, mode: Mode) -> None:
        self.behind, self._routes, self._callers, self._mode = behind, routes, callers, mode

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        """Serve one request."""
        told = self.at_once(environ) if handed_on.so_far() is None else None
        if told is not None:
            start_response(told.status, list(told.headers))
            return [told.body]
        try:
            return self.behind(environ, start_response)
        finally:
            handed_on.hand_on(None)

    def at_once(self, environ: Environ) -> Told | None:
        """The answer to a request that is plain; None: Flask must answer, going on from handed_on.so_far().

        Of *environ* it needs the method, the path, the headers and the body alone.
        """
        for route in self._routes:
            if route.method == environ["REQUEST_METHOD"] and (met := route.named(environ["PATH_INFO"])):
                caller = self._caller(environ, route)
                if caller is not None and _is_plain(environ):
                    return self._answer(environ, route, caller, *met)
        return None

    def _caller(self, environ: Environ, route: Route) -> Caller | None:
        """Who calls, if that is remembered and they may."""
        caller = self._callers.remembered(environ.get("HTTP_X_API_KEY", ""), environ.get("HTTP_X_TN", ""))
        if caller is None or (self._mode is Mode.PRODUCTION and not caller.live):
            return None
        return caller if route.reads_status or caller.role is not KeyRole.READ_ONLY else None

    def _answer(
        self, environ: Environ, route: Route, caller: Caller, rule: str, named: Mapping[str, str]
    ) -> Told | None:
        so_far = SoFar(request_log.id_of(environ.get("HTTP_X_REQUEST_ID", "")))
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(
            request_id=so_far.request_id, tenant=str(caller.tenant_id), key=caller.key_id
        )
        tenancy.act_for(caller.tenant_id)
        try:
            told = route.answer(environ, caller, named, so_far)
        except Exception as error:  # Flask answers it.
            so_far.error, told = error, None
        finally:
            tenancy.act_for(None)  # A connection's next request runs in the same greenlet.
        if told is None:
            handed_on.hand_on(so_far)
            return None
        request_log.note(route.method, rule, int(told.status[:3]), so_far.began)
        return Told(told.status, [*told.headers, *_always(so_far)], told.body)


def _is_plain(environ: Environ) -> bool:
    return environ.get("HTTP_ACCEPT") in PLAIN_ACCEPT and not any(name in environ for name in _ASKS_FOR_MORE)


def _always(so_far: SoFar) -> Iterable[tuple[str, str]]:
    """The headers of every answer behind a key."""
    assert so_far.verdict is not None, "no answer without a token"
    yield from so_far.verdict.headers().items()
    yield "Vary", "Accept"
    yield "x-request-id", so_far.request_id
    yield "X-Content-Type-Options", "nosniff"
