"""Logging in with an operator's key, and out.

The key is looked up by its digest, never compared and never kept: the session remembers the digest. Whatever is wrong
with it, the answer is the same. How often it may be tried: tries.py.
"""

from __future__ import annotations

import re
import secrets
from datetime import timedelta
from http import HTTPStatus
from typing import Final, cast

import structlog
from flask import Blueprint, Response, redirect, request

from api.ops import sessions, tries
from api.ops.guard import FORM_TOKEN, HOME, LOGIN, behind_login, cookie_name, is_production, open_to_all, same
from api.ops.pages import page
from api.ops.tries import Tries
from api.parts import Parts
from shared.store import keys

log = structlog.get_logger(__name__)

LONGEST_NAME: Final = 100
LONGEST_KEY: Final = 200
_INSIDE: Final = re.compile(r"/ops(/[\w/-]*)?(\?[\w=&%.:+-]*)?", re.ASCII)
"""Where somebody may be led after logging in: pages of the console, and no other host's."""


def add(routes: Blueprint, parts: Parts) -> None:
    """The routes."""

    @routes.get("/ops/login")
    @open_to_all
    def show_login() -> Response:
        return _form(request.args.get("next", HOME))

    @routes.post("/ops/login")
    @open_to_all
    def log_in() -> Response:
        wanted, name = request.form.get("next", HOME), request.form.get("name", "").strip()
        shown = request.cookies.get(_form_cookie(), "")
        if not shown or not same(shown, request.form.get(FORM_TOKEN, "")):
            return _form(wanted, "This form was too old, or not ours. Try again.", HTTPStatus.FORBIDDEN)
        if not name or len(name) > LONGEST_NAME or not name.isprintable():
            return _form(wanted, "Say your name: it is kept with what you do.", HTTPStatus.BAD_REQUEST)
        trying = Tries.of(parts.redis, _address(parts.settings.proxies), request.cookies.get(_known_cookie(), ""))
        if wait_s := trying.begin():
            return _not_now(wanted, wait_s)
        key = request.form.get("key", "").strip()[:LONGEST_KEY]
        caller = sessions.may_enter(parts.engine, parts.settings.mode, keys.digest_of(key))
        if caller is None:
            log.warning("operator.not_let_in")
            return _form(wanted, "This key does not open the console.", HTTPStatus.FORBIDDEN)
        known_as, token = trying.succeeded(), sessions.begin(parts.redis, key, name, parts.clock())
        log.info("operator.logged_in", tenant=str(caller.tenant_id), key=caller.key_id, who=name)
        response = _onward(wanted if _INSIDE.fullmatch(wanted) else HOME)
        _set(response, cookie_name(), token)
        _set(response, _known_cookie(), known_as, max_age=tries.KNOWN_FOR)
        response.delete_cookie(_form_cookie(), secure=is_production(), httponly=True, samesite="Strict")
        return response

    @routes.post("/ops/logout")
    @behind_login
    def log_out() -> Response:
        sessions.end(parts.redis, request.cookies[cookie_name()])
        response = _onward(LOGIN)
        response.delete_cookie(cookie_name(), secure=is_production(), httponly=True, samesite="Strict")
        return response


def _form(wanted: str, wrong: str = "", status: HTTPStatus = HTTPStatus.OK) -> Response:
    """The form, with a token of its own: the same in the form and in a cookie that no other site's form brings."""
    token = secrets.token_urlsafe(sessions.TOKEN_BYTES)
    response = page("login", status, next=wanted if _INSIDE.fullmatch(wanted) else HOME, wrong=wrong, token=token)
    _set(response, _form_cookie(), token)
    return response


def _not_now(wanted: str, wait_s: int) -> Response:
    """The form again, with how long to wait; the key was not looked at."""
    log.warning("operator.too_many_tries", wait_s=wait_s)
    seconds = "a second" if wait_s == 1 else f"{wait_s} seconds"
    why = f"Too many keys were tried. This one was not looked at: wait {seconds}, then try again."
    response = _form(wanted, why, HTTPStatus.TOO_MANY_REQUESTS)
    response.headers["Retry-After"] = str(wait_s)
    return response


def _address(proxies: int) -> str:
    """Where this request comes from, as the outermost of our own *proxies* saw it; what is said before that is
    whatever the caller wrote."""
    route = request.access_route
    told = route[-proxies] if 0 < proxies <= len(route) else request.remote_addr
    return told or ""


def _form_cookie() -> str:
    return f"{cookie_name()}_form"


def _known_cookie() -> str:
    return f"{cookie_name()}_known"


def _set(response: Response, name: str, token: str, max_age: timedelta | None = None) -> None:
    """A cookie of this browser session, or for so long; no script reads it and no other site's page brings it."""
    secure = is_production()
    response.set_cookie(name, token, max_age=max_age, httponly=True, samesite="Strict", secure=secure, path="/")


def _onward(where: str) -> Response:
    return cast("Response", redirect(where, HTTPStatus.SEE_OTHER, Response))
