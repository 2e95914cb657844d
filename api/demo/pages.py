"""How a page of the shop is made: a template, who visits it, and headers that close it to everybody else.

As the console's (api/ops/pages.py): whatever is shown is escaped; a page runs and loads only what this host serves,
sends its forms nowhere else, and stands in nobody's frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from flask import Response, render_template

from api.demo import cards
from api.ops.pages import HEADERS
from api.ops.words import amount

HTML: Final = "text/html; charset=utf-8"


def page(
    template: str, status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None, **values: Any
) -> Response:
    """The page that *template* makes of *values*; it finds amounts in words as `amount`, the test cards as `cards`."""
    html = render_template(f"demo/{template}.html", amount=amount, cards=cards, **values)
    return Response(html, status, {**HEADERS, **(headers or {})}, content_type=HTML)


def problem(status: HTTPStatus, title: str, why: str, *, retry_after_s: int | None = None) -> Response:
    """A page that says what went wrong and what to do."""
    headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
    return page("problem", status, headers, title=title, why=why)
