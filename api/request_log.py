"""What every request leaves behind: an id on its answer, and one log line that the id finds.

The id is the caller's when it is 1-128 printable ASCII characters, so that their logs and ours join; else it is
minted. The line names the route and not the path, for a path may carry a customer's name.
"""

from __future__ import annotations

import re
import time
from typing import Final

import structlog
from flask import Flask, Response, g, request
from ulid import ULID

from api import handed_on
from api.handed_on import SoFar
from shared.observe.metrics import request_took

log = structlog.get_logger(__name__)

_ACCEPTED: Final = re.compile(r"[\x20-\x7e]{1,128}")


def register(app: Flask) -> None:
    """Give every request of *app* its id and its log line."""
    app.before_request(_begin)
    app.after_request(_end)


def _begin() -> None:
    before = handed_on.so_far() or SoFar(id_of(request.headers.get("x-request-id", "")))
    g.request_id, g.began = before.request_id, before.began
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=g.request_id)


def _end(response: Response) -> Response:
    response.headers["x-request-id"] = g.request_id
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers["X-Content-Type-Options"] = "nosniff"
    note(
        request.method if request.url_rule else None,  # Of an unknown route it is whatever was sent.
        request.url_rule.rule if request.url_rule else None,
        response.status_code,
        g.began,
    )
    return response


def id_of(given: str) -> str:
    """The id of a request whose caller sent *given* as one."""
    return given if _ACCEPTED.fullmatch(given) else f"req_{ULID()}"


def note(method: str | None, route: str | None, status: int, began: float) -> None:
    """Count a request, and write the line it leaves behind; *began* by the monotonic clock."""
    took_s = time.monotonic() - began
    request_took(method or "", route, status, took_s)
    log.info("request", method=method, route=route, status=status, ms=round(took_s * 1000, 1))
