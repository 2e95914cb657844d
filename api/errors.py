"""Which answer each trouble gets: the one place where a refusal's name meets an HTTP status.

Refusals may be raised anywhere below a route. What we did not expect is a 500 whose log line tells the type and
the place and never a value; a database, vault or broker that is away is a 503 that says when to come back, and so is
a process that has no descriptor or memory left. The shape follows the route: what a successful answer would hold is
null (contract sections 2, 4 and 5).
"""

from __future__ import annotations

import errno
import traceback
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import structlog
from flask import Flask, Response, request
from psycopg.errors import ReadOnlySqlTransaction
from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException

from api.envelope import answer
from shared.domain import refusals as r

log = structlog.get_logger(__name__)

STATUS_OF: Final[Mapping[type[r.Refusal], HTTPStatus]] = {
    r.InvalidRequest: HTTPStatus.BAD_REQUEST,
    r.InvalidCard: HTTPStatus.BAD_REQUEST,
    r.InvalidPromotionCode: HTTPStatus.BAD_REQUEST,
    r.Forbidden: HTTPStatus.FORBIDDEN,
    r.OrderNotFound: HTTPStatus.NOT_FOUND,
    r.CustomerNotFound: HTTPStatus.NOT_FOUND,
    r.NoOfferFound: HTTPStatus.NOT_FOUND,
    r.StorefrontNotFound: HTTPStatus.NOT_FOUND,
    r.PaymentMethodNotFound: HTTPStatus.NOT_FOUND,  # At checkout it is one of the 409s: see _status.
    r.OfferExpired: HTTPStatus.CONFLICT,
    r.OfferNotPurchasable: HTTPStatus.CONFLICT,
    r.OfferNotFound: HTTPStatus.CONFLICT,
    r.OfferAlreadyOrdered: HTTPStatus.CONFLICT,
    r.OfferItemNotFound: HTTPStatus.CONFLICT,
    r.IdempotencyConflict: HTTPStatus.CONFLICT,
    r.PaymentMethodInactive: HTTPStatus.CONFLICT,
    r.ProviderNotAvailable: HTTPStatus.CONFLICT,
    r.CardDeclined: HTTPStatus.CONFLICT,
    r.RateLimited: HTTPStatus.TOO_MANY_REQUESTS,
    r.PspUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    r.Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}

CODE_OF: Final[Mapping[int, str]] = {
    400: "BAD_REQUEST",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    408: "REQUEST_TIMEOUT",
    413: "REQUEST_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    431: "REQUEST_HEADERS_TOO_LARGE",
}
"""The names of what HTTP itself refuses; what is not here is told by the standard's own phrase."""

_USED_UP: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
"""Others give some back in a moment."""

_CHECKOUT: Final = "/c2a/offer/checkout"
_OFFERS: Final = ("/c2a/offer/bundles", "/c2a/offer/showcase")
_METHODS: Final = "/c2a/customer/payment/methods/"


class NotAuthenticated(HTTPException):
    """Whatever is wrong with the key or the tenant: one answer, without a body (contract section 1)."""

    code = 401


def register(app: Flask) -> None:
    """Answer every exception of *app* in the envelope."""
    app.register_error_handler(r.Refusal, _refused)
    app.register_error_handler(NotAuthenticated, _not_authenticated)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, unexpected)


def _refused(refusal: r.Refusal) -> Response:
    headers = {"Retry-After": str(refusal.retry_after_s)} if isinstance(refusal, r.Unavailable) else {}
    return _refuse(_status(refusal), refusal.message_code, refusal.message, headers)


def _status(refusal: r.Refusal) -> HTTPStatus:
    """The status of the nearest class that has one, so that a refusal's own kinds need no row."""
    if isinstance(refusal, r.PaymentMethodNotFound) and _is_checkout():
        return HTTPStatus.CONFLICT
    return next(STATUS_OF[kind] for kind in type(refusal).__mro__ if kind in STATUS_OF)


def _not_authenticated(_: NotAuthenticated) -> Response:
    # RFC 9110 11.6.1 wants the scheme named; it is the same for every cause.
    response = Response(status=HTTPStatus.UNAUTHORIZED, headers={"WWW-Authenticate": "ApiKey"})
    del response.headers["Content-Type"]  # There is no content.
    return response


def _http_error(error: HTTPException) -> Response:
    code = error.code or 500
    headers = {name: value for name, value in error.get_headers() if name == "Allow"}
    return _refuse(code, CODE_OF.get(code) or HTTPStatus(code).name, "", headers)


def unexpected(error: Exception) -> Response:
    """The answer to what no route expected, logged: 503 where something is away, else 500."""
    if away := _away(error):
        log.warning("request.unavailable", away=away, error=type(getattr(error, "orig", None) or error).__name__)
        return _refused(r.Unavailable("try again"))
    frames = traceback.extract_tb(error.__traceback__)[-5:]
    log.error(
        "request.broken",
        error=type(error).__name__,
        at=[f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    )
    return _refuse(HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.INTERNAL_SERVER_ERROR.name, "", {})


def _away(error: Exception) -> str | None:
    """What is not there to answer, if that is all that happened."""
    match error:
        case OperationalError() | InterfaceError() | PoolTimeout():
            return "database"
        case DBAPIError() if error.connection_invalidated or isinstance(error.orig, ReadOnlySqlTransaction):
            return "database"  # A connection cut, or a failover that left us on the old, read-only side.
        case RedisError():
            return "redis"
        case _ if _is_need(error):
            return "memory or descriptors"
        case _:
            return None


def _is_need(error: Exception) -> bool:
    """Whether this process or its machine has none left of what the request needed: memory, a descriptor, a thread."""
    match error:
        case MemoryError():
            return True
        case OSError():
            return error.errno in _USED_UP
        case RuntimeError():
            return (
                str(error) == "can't start new thread"
            )  # Python says no more of it, nor does gevent's look-up of names.
        case _:
            return False


def _refuse(status: int, code: str, message: str, headers: Mapping[str, str]) -> Response:
    document = _shape(status) | ({"message": message} if message else {})
    return answer(document, status=status, headers=headers, code=code)


def _shape(status: int) -> dict[str, Any]:
    """What a refusal of this route carries beside the envelope."""
    path = _path()
    if status == HTTPStatus.CONFLICT and _is_checkout():
        return {"trackingNumber": None, "followUpInstructions": {"canFollowUp": False}}
    if path in _OFFERS:
        return {"offer": None}
    return {"result": None} if path.startswith(_METHODS) else {}


def _is_checkout() -> bool:
    return _path() == _CHECKOUT


def _path() -> str:
    """The path without its prefix (contract section 1: /api/v1 and /api)."""
    return request.path.removeprefix("/api/v1").removeprefix("/api")
