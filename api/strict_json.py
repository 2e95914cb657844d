"""How a request's body becomes a document, or a refusal; Flask as shipped lets far more through.

Flask reads unlimited bodies, UTF-16, NaN and duplicate keys, and answers deep nesting with a 500. Here: at most
64 KiB however the body is framed, application/json in UTF-8 and nothing else, every key once, finite numbers,
no text PostgreSQL or a log could not hold, depth at most 16.
"""

from __future__ import annotations

import json
import math
from typing import Any, Final, TypeVar

from flask import request
from pydantic import BaseModel
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType

from api.validation import read
from shared.domain.refusals import InvalidRequest

M = TypeVar("M", bound=BaseModel)

MOST_BYTES: Final = 64 * 1024
"""Contract section 1. Flask is told one more (api/app.py): of a chunked body it cuts off what is over, silently."""
MOST_DEPTH: Final = 16
MOST_DIGITS: Final = 100
"""No number we read has more; turning a million digits into an int takes quadratic time."""


def body(model: type[M]) -> M:
    """The request's body as a *model*.

    Raises werkzeug's 413, 415 and 400 (no JSON at all), InvalidCard, and InvalidRequest for all else.
    """
    _require_json()
    return read(model, parse(capped()))


def capped() -> bytes:
    """The request's body as it was sent; raises werkzeug's 413 past the cap, however it was framed."""
    raw = request.get_data(cache=False)
    if len(raw) > MOST_BYTES:
        raise RequestEntityTooLarge
    return raw


def parse(raw: bytes) -> Any:
    """The document in *raw*; BadRequest if it is no JSON, InvalidRequest if it is JSON we do not take."""
    try:
        document = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_each_key_once,
            parse_constant=_no_constant,
            parse_int=_integer,
            parse_float=_finite,
        )
    except RecursionError:
        raise InvalidRequest(f"body: nested deeper than {MOST_DEPTH}") from None
    except ValueError:  # Of the decoder or the parser; its text quotes the body.
        raise BadRequest from None
    if b"\\u" in raw or raw.count(b"{") + raw.count(b"[") > MOST_DEPTH:
        # Without an escape no text can be what _check refuses, and with so few brackets nothing is nested deeper.
        _check(document, MOST_DEPTH)
    return document


def _require_json() -> None:
    charset = request.mimetype_params.get("charset", "utf-8")
    if request.mimetype != "application/json" or charset.lower() != "utf-8" or "Content-Encoding" in request.headers:
        raise UnsupportedMediaType


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise InvalidRequest("body: a key appears twice in one object")
    return document


def _no_constant(_: str) -> None:
    raise InvalidRequest("body: NaN and Infinity are not numbers of JSON")


def _integer(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise InvalidRequest("body: a number has too many digits")
    return int(digits)


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise InvalidRequest("body: a number is too large")
    return number


def _check(value: Any, depth_left: int) -> None:
    """Raises InvalidRequest for depth, and for text that cannot be stored: NUL (PostgreSQL) or a lone surrogate."""
    if isinstance(value, str):
        if not _can_be_stored(value):
            raise InvalidRequest("body: text has a NUL character or half a surrogate pair")
    elif isinstance(value, dict | list):
        if depth_left == 0:
            raise InvalidRequest(f"body: nested deeper than {MOST_DEPTH}")
        for part in (*value, *value.values()) if isinstance(value, dict) else value:
            _check(part, depth_left - 1)


def _can_be_stored(text: str) -> bool:
    try:
        return b"\0" not in text.encode("utf-8")
    except UnicodeEncodeError:
        return False
