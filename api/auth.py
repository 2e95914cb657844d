"""Who calls, and what their key may do (contract section 1: x-api-key, x-tn, 401, 403).

Every cause of a 401 costs the same: the key is hashed and looked up even where it or the tenant is missing, and
the tenants are compared in constant time; nothing of the answer tells causes apart. What was found, or not
found, is believed for key_cache_s seconds, so that a flood of one bad key costs one statement; never past the key's
expiry, and not at all once it is revoked: the round trip that takes a token says so (shared/revocations.py). While
that Redis is away nothing is believed, and a call costs one look-up more. A database that is away is a 503: a 401
would make a good client throw its key away.

A path that no route has is 404 and a wrong method 405, without a key: the routes are public in the OpenAPI
document, so there is nothing to hide, and a scanner costs us no look-up.
"""

from __future__ import annotations

import hashlib
import hmac
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

import structlog
from flask import Flask, current_app, g, request
from sqlalchemy import Engine

from api.errors import NotAuthenticated
from shared.config import Mode
from shared.domain.refusals import Forbidden
from shared.store import keys, tenancy
from shared.store.engine import statements
from shared.store.keys import Caller, KeyRole

MOST_REMEMBERED: Final = 4_096
"""Keys a process remembers; about 2 MiB. Past it all are forgotten, and each costs one statement again."""
RENEWED_AFTER: Final = 0.75
"""Of the time a key is believed: what is left of it is longer than any look-up takes."""
_NO_TENANT: Final = str(uuid.UUID(int=0))
_CALLERS: Final = "c2a.callers"

View = TypeVar("View", bound=Callable[..., Any])


def public(view: View) -> View:
    """Mark a view that needs no key."""
    view.needs_no_key = True  # type: ignore[attr-defined]
    return view


def reads_status(view: View) -> View:
    """Mark a view that only reads an order's status: publishable keys may call it, and it has a bucket of its own."""
    view.reads_status = True  # type: ignore[attr-defined]
    return view


def is_public() -> bool:
    """Whether this request needs no key: a public view, or no view at all (404, 405)."""
    view = _view()
    return view is None or getattr(view, "needs_no_key", False)


def is_status_read() -> bool:
    """Whether this request only reads a status."""
    return getattr(_view(), "reads_status", False)


def caller() -> Caller:
    """Whose request this is; only behind a view that needs a key."""
    return cast("Caller", g.caller)


def register(app: Flask, engine: Engine, cache_s: float) -> Callers:
    """Let no request reach a view of *app* without a key that may call it; the keys it has seen."""
    callers = Callers(engine, cache_s)
    app.extensions[_CALLERS] = callers

    @app.before_request
    def authenticate() -> None:
        if is_public():
            return
        g.caller = callers.authenticate(*_shown())
        tenancy.act_for(g.caller.tenant_id)
        structlog.contextvars.bind_contextvars(tenant=str(g.caller.tenant_id), key=g.caller.key_id)

    @app.teardown_request
    def forget_tenant(_: BaseException | None) -> None:
        tenancy.act_for(None)  # A connection's next request runs in the same greenlet.

    return callers


def confirm() -> None:
    """Look the key of this request up anew, whatever is remembered of it; raises as authenticate does."""
    callers: Callers = current_app.extensions[_CALLERS]
    callers.authenticate(*_shown(), believe=False)


def restrict(app: Flask, mode: Mode) -> None:
    """Let no key do more in *app* than its role and *mode* allow; after it has been found good.

    In production a development key opens nothing: it lies in more places than a secret may, and what it would order
    would be paid with real money.
    """

    @app.before_request
    def authorise() -> None:
        if is_public():
            return
        if mode is Mode.PRODUCTION and not g.caller.live:
            raise Forbidden("a development key opens nothing in production; use a live one")
        if g.caller.role is KeyRole.READ_ONLY and not is_status_read():
            raise Forbidden("this key may only read the status of an order; use a secret key")


@dataclass(slots=True)
class _Seen:
    """Whose a key was found to be, until when that is believed, and from when on one caller looks it up anew."""

    found: Caller | None
    until: float
    renew_at: float
    is_due: bool = False
    """Whether somebody was sent to look it up who has not yet begun."""


class Callers:
    """The keys this process has seen, each believed for a moment."""

    def __init__(self, engine: Engine, cache_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._engine, self._cache_s, self._clock = engine, cache_s, clock
        self._seen: dict[bytes, _Seen] = {}

    def authenticate(self, key: str, tenant: str, *, believe: bool = True) -> Caller:
        """The caller who showed *key* for *tenant*; raises NotAuthenticated, or what the database raises.

        Without *believe* what is remembered of the key does not count.
        """
        found = self._find(key, believe=believe)
        theirs = str(found.tenant_id) if found else _NO_TENANT
        if not hmac.compare_digest(theirs.encode(), tenant.lower().encode("utf-8", "surrogatepass")) or found is None:
            raise NotAuthenticated
        return found

    def remembered(self, key: str, tenant: str) -> Caller | None:
        """The same, if it is remembered; None: nothing is known, or nothing good, or this one is to look it up anew.

        It is one, of those who come in the last part of what a key is believed for: all who come at the moment when it
        ends would look it up, each by the way that costs thrice as much.
        """
        seen, now = self._seen.get(_digest(key)), self._clock()
        found = seen.found if seen else None
        theirs = str(found.tenant_id) if found else _NO_TENANT
        is_theirs = hmac.compare_digest(theirs.encode(), tenant.lower().encode("utf-8", "surrogatepass"))
        if seen is None or not is_theirs or now >= seen.until:
            return None
        if found is not None and now >= seen.renew_at:
            seen.renew_at, seen.is_due = seen.until, True
            return None
        return found

    def _find(self, key: str, *, believe: bool) -> Caller | None:
        digest, asked_at = _digest(key), self._clock()
        if (seen := self._seen.get(digest)) is not None:
            if believe and asked_at < seen.until and not seen.is_due:
                return seen.found
            seen.is_due = False
        with statements(self._engine) as conn:
            found = keys.find(conn, key)
        if len(self._seen) >= MOST_REMEMBERED:
            self._seen.clear()
        believed_s = self._believed_s(found)
        self._seen[digest] = _Seen(found, asked_at + believed_s, asked_at + RENEWED_AFTER * believed_s)
        return found

    def _believed_s(self, found: Caller | None) -> float:
        if found is None or found.good_for_s is None:
            return self._cache_s
        return min(self._cache_s, found.good_for_s)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def _shown() -> tuple[str, str]:
    """The key and the tenant this request shows."""
    return request.headers.get("x-api-key", ""), request.headers.get("x-tn", "")


def _view() -> Callable[..., Any] | None:
    return current_app.view_functions.get(request.endpoint) if request.endpoint else None
