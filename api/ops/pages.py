"""How a page of the console is made: a template, what every page needs, and headers that close it to everybody else.

Jinja escapes whatever is shown. The policy lets a page run and load only what this host serves, sends its forms
nowhere else, and lets nobody put it into a frame.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from flask import Response, g, render_template

from api.ops import words

HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",  # An address may hold what was searched for.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def page(template: str, status: int = HTTPStatus.OK, **values: Any) -> Response:
    """The page that *template* makes of *values*."""
    return Response(fragment(template, **values), status, HEADERS, content_type="text/html; charset=utf-8")


def fragment(template: str, **values: Any) -> str:
    """The HTML that *template* makes of *values*; it finds who is logged in as `operator`, and our words as `words`."""
    return render_template(f"ops/{template}.html", operator=g.get("operator"), words=words, **values)
