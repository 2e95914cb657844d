"""Lets nobody see a page of the console who is not logged in, and nobody act who does not hold that page's token.

The session's tenant is the one that every statement of the request acts for, as with a key (api/auth.py). A form that
comes without the token of its session changes nothing: it was not written by a page of ours.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, TypeVar, cast
from urllib.parse import quote

import structlog
from flask import Blueprint, Response, current_app, g, redirect, request
from werkzeug.exceptions import BadRequest

from api import here
from api.auth import public
from api.ops import sessions
from api.ops.pages import page
from api.ops.sessions import Session
from shared.config import Mode
from shared.store import tenancy
from shared.store.keys import Caller

HOME: Final = "/ops"
LOGIN: Final = "/ops/login"
FORM_TOKEN: Final = "form_token"  # noqa: S105  # A field's name.

View = TypeVar("View", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Operator:
    """Who asks, and for which tenant."""

    session: Session
    caller: Caller


def behind_login(view: View) -> View:
    """Mark a view that needs a session, and so no key."""
    return public(view)


def open_to_all(view: View) -> View:
    """Mark a view of the console that needs no session."""
    view.needs_no_session = True  # type: ignore[attr-defined]
    return public(view)


def unattended(view: View) -> View:
    """Mark a view that pages ask for by themselves: it keeps no session alive, and is told plainly when one is over."""
    view.unattended = True  # type: ignore[attr-defined]
    return public(view)


def operator() -> Operator:
    """Whose request this is; only behind a view that needs a session."""
    return cast("Operator", g.operator)


def register(routes: Blueprint) -> None:
    """Guard every view of *routes*."""
    routes.before_request(_admit)


def cookie_name() -> str:
    """The cookie's name; in production one that a browser takes only over TLS and from this host itself."""
    return "__Host-c2a_ops" if is_production() else "c2a_ops"


def is_production() -> bool:
    """Whether cookies are for TLS alone."""
    return here.parts().settings.mode is Mode.PRODUCTION


def same(one: str, other: str) -> bool:
    """Whether two tokens are the same, in the same time whatever they are."""
    return hmac.compare_digest(one.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass"))


def _admit() -> Response | None:
    view = current_app.view_functions[request.endpoint or ""]
    if getattr(view, "needs_no_session", False):
        return None
    found = _operator(renew=not getattr(view, "unattended", False))
    if found is None:
        return _refuse(view)
    g.operator = found
    tenancy.act_for(found.caller.tenant_id)
    structlog.contextvars.bind_contextvars(tenant=str(found.caller.tenant_id), key=found.caller.key_id)
    if any("\0" in text for told in (request.args, request.form) for text in told.values()):
        raise BadRequest  # No field of ours brings it, and no text of PostgreSQL can hold it.
    if request.method == "POST" and not same(request.form.get(FORM_TOKEN, ""), found.session.form_token):
        why = "This form was not written by a page of this session. Nothing was done: load the page and try again."
        return page("problem", HTTPStatus.FORBIDDEN, title="Refused", why=why)
    return None


def _operator(*, renew: bool) -> Operator | None:
    parts, token = here.parts(), request.cookies.get(cookie_name(), "")
    session = sessions.find(parts.redis, token, parts.clock(), renew=renew) if token else None
    if session is None:
        return None
    caller = sessions.may_enter(parts.engine, parts.settings.mode, bytes.fromhex(session.key_digest))
    return None if caller is None else Operator(session, caller)


def _refuse(view: Callable[..., Any]) -> Response:
    if getattr(view, "unattended", False):
        return Response('{"over":true}', HTTPStatus.UNAUTHORIZED, content_type="application/json")
    if request.method == "POST":
        why = "Your session is over, and nothing was done. Log in and ask again."
        return page("problem", HTTPStatus.UNAUTHORIZED, title="Log in again", why=why)
    wanted = request.full_path.rstrip("?")
    return cast("Response", redirect(f"{LOGIN}?next={quote(wanted)}", HTTPStatus.SEE_OTHER, Response))
