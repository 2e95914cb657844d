"""One visit, as every page of the shop needs it: is the shop open, who visits, and their way to the API."""

from __future__ import annotations

from contextlib import AbstractContextManager
from http import HTTPStatus
from typing import Any, Final, cast

import structlog
from flask import Blueprint, Response, current_app, g, redirect, request
from werkzeug.exceptions import NotFound

from api import here
from api.demo import storefront as storefronts
from api.demo.cards import YEARS
from api.demo.door import Shop, open_shop
from api.demo.form import is_ours
from api.demo.pages import problem
from api.demo.shopper import Shopper
from api.demo.storefront import Storefront
from api.parts import Parts

HTTPS: Final = "https://"


def register(routes: Blueprint) -> None:
    """Let nobody reach a view of *routes* while the shop is closed, or send a form that no page of ours wrote."""
    routes.before_request(_enter)


def shop() -> Shop:
    """The shop that is visited."""
    return cast("Shop", g.shop)


def shopper() -> Shopper:
    """Who visits it."""
    return cast("Shopper", g.shopper)


def storefront(who: Shopper) -> AbstractContextManager[Storefront]:
    """The way of *who* to the API."""
    app: Any = current_app._get_current_object()  # type: ignore[attr-defined]  # The application, not a proxy to it.
    return storefronts.entered(app, shop(), who.customer_urn, g.request_id)


def onward(where: str) -> Response:
    """Off to another page of the shop, by GET."""
    return cast("Response", redirect(where, HTTPStatus.SEE_OTHER, Response))


def not_ours() -> Response:
    """A form that was not written for this browser did nothing."""
    why = "This form was not written for this browser, or your browser keeps no cookies. Nothing was done."
    return problem(HTTPStatus.FORBIDDEN, "Refused", why)


def is_secure(parts: Parts) -> bool:
    """Whether cookies are for TLS alone."""
    return parts.settings.public_url.startswith(HTTPS)


def years(parts: Parts) -> list[int]:
    """The years in which a card may expire, the present one first."""
    first = parts.clock().year
    return list(range(first, first + YEARS))


def _enter() -> Response | None:
    found = open_shop(here.parts())
    if found is None:
        raise NotFound
    g.shop, g.shopper = found, Shopper.of(request)
    structlog.contextvars.bind_contextvars(tenant=str(found.tenant_id))
    if request.method == "POST" and not is_ours(request.form, shopper().form_token):
        return not_ours()
    return None
