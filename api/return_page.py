"""The plain page a shopper sees who comes back from the PSP and whose shop named no page of its own."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from flask import Response, redirect
from markupsafe import escape

HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",  # The address carries the signed state.
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}

RETRY_AFTER_S: Final = 2
"""As any 503 of ours says."""

_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 1.1rem/1.5 system-ui, sans-serif; max-width: 32rem; margin: 15vh auto; padding: 0 1rem }}
</style></head>
<body><main><h1>{title}</h1><p>{text}</p></main></body></html>
"""


def thanks(tracking_number: str) -> Response:
    """The order is known and its payment is being confirmed."""
    text = f"Your payment is being confirmed. Return to the shop; your order is {escape(tracking_number)}."
    return _page("Thank you", text, HTTPStatus.OK)


def unknown() -> Response:
    """The address was not one of ours, or not for this order; nothing about any order is said."""
    return _page(
        "This address is not valid", "Please return to the shop and look at your order there.", HTTPStatus.BAD_REQUEST
    )


def busy() -> Response:
    """Nothing can be looked up right now; the shopper loads the page again, and loses nothing if they do not."""
    response = _page("One moment", "Please load this page again in a few seconds.", HTTPStatus.SERVICE_UNAVAILABLE)
    response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return response


def onward(target: str) -> Response:
    """Off to the shop's own page, *target*; the few words that come with it are for browsers that do not follow."""
    response = redirect(target, HTTPStatus.SEE_OTHER, Response)
    assert isinstance(response, Response)
    response.headers.update(HEADERS)
    return response


def _page(title: str, text: str, status: HTTPStatus) -> Response:
    return Response(_PAGE.format(title=title, text=text), status, HEADERS, content_type="text/html; charset=utf-8")
