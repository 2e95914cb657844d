"""One order's page: where it stands in a shopper's words, followed live, and the way back from the bank.

The page brings what its script needs to hold a poll of the published status route: the publishable key, the tenant, and
the ETag of what it shows. When that changes the script asks here for the panel, so that the words stand in one place
(words.py). Without the script the page loads itself anew every few seconds.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any, Final

from flask import Blueprint, Response, request

from api.auth import public
from api.demo import shopper, visit, words
from api.demo.pages import page, problem
from shared.client import OrderUnknown
from shared.client.answers import Redirect

_NUMBER: Final = re.compile(r"trk_[0-9A-HJKMNP-TV-Z]{26}")
"""`trk_` and a ULID (contract section 2)."""


def add(routes: Blueprint) -> None:
    """The routes."""

    @routes.get("/demo/orders/<number>")
    @public
    def show_order(number: str) -> Response:
        return _shown("order", number)

    @routes.get("/demo/orders/<number>/panel")
    @public
    def show_panel(number: str) -> Response:
        return _shown("panel", number)

    @routes.get("/demo/return")
    @public
    def come_back() -> Response:
        number = request.args.get("trackingNumber", "")
        return visit.onward(f"/demo/orders/{number}" if _NUMBER.fullmatch(number) else "/demo")


def _shown(template: str, number: str) -> Response:
    if not _NUMBER.fullmatch(number):
        return _unknown()
    try:
        with visit.storefront(visit.shopper()) as storefront:
            now = storefront.status(number)
    except OrderUnknown:
        return _unknown()
    bought = shopper.last(request)
    values: dict[str, Any] = {
        "now": now,
        "number": now.tracking_number,
        "said": words.of_order(now),
        "bought": bought if bought is not None and bought.number == now.tracking_number else None,
        "bank": _address(now.redirect_instructions) if now.needs_shopper else None,
        "shop": visit.shop(),
    }
    return page(template, **values)


def _address(redirect: Redirect | None) -> str | None:
    """Where the shopper's browser must go, if that is an address of the web."""
    url = redirect.redirect_url if redirect is not None else None
    return url if url is not None and url.startswith(("https://", "http://")) else None


def _unknown() -> Response:
    why = "This shop has no order with that number. Perhaps the address was cut short."
    return problem(HTTPStatus.NOT_FOUND, "No such order", why)
