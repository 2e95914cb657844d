"""The shop's front: what there is to buy, how it may be paid, and the order that a form sends."""

from __future__ import annotations

import uuid
from http import HTTPStatus
from typing import Final

from flask import Blueprint, Response, request

from api.auth import public
from api.demo import shopper, visit, words
from api.demo.form import NotOurs, said_of, wish_of
from api.demo.pages import page, problem
from api.demo.shopper import Bought, Shopper
from api.demo.words import Said
from api.parts import Parts
from shared.client import NoAnswer, Offer, Refused
from shared.client.answers import Item
from shared.domain.refusals import RateLimited

BUNDLE: Final = "Bundle"
"""Add-ons are left out: what this page shows is how an order goes."""
RETRY_AFTER_S: Final = 2
"""As any 503 of ours says."""


def add(routes: Blueprint, parts: Parts) -> None:
    """The routes."""

    @routes.get("/demo")
    @public
    def front() -> Response:
        return _front(parts, visit.shopper(), chosen=request.args.get("item", ""))

    @routes.post("/demo/orders")
    @public
    def take_order() -> Response:
        who = visit.shopper()
        try:
            wish = wish_of(request.form)
        except NotOurs:
            return visit.not_ours()
        try:
            with visit.storefront(who) as storefront:
                accepted = storefront.submit(wish)
        except Refused as refused:
            said = words.of_refusal(refused.code)
            return _front(parts, who, chosen=wish.item, said=said, status=HTTPStatus(refused.status))
        except NoAnswer as lost:
            return _unanswered(lost)
        response = visit.onward(f"/demo/orders/{accepted.tracking_number}")
        bought = Bought(accepted.tracking_number, wish.item, said_of(request.form, wish.item))
        shopper.remember_last(response, bought, secure=visit.is_secure(parts))
        return response

    @routes.post("/demo/cards/forget")
    @public
    def forget() -> Response:
        with visit.storefront(visit.shopper()) as storefront:
            storefront.forget(request.form.get("method", ""))
        return visit.onward("/demo")


def _front(
    parts: Parts, who: Shopper, *, chosen: str = "", said: Said | None = None, status: HTTPStatus = HTTPStatus.OK
) -> Response:
    """The front with a fresh offer, and a key of its own for the order that its form may become."""
    with visit.storefront(who) as storefront:
        offer = storefront.offer()
        methods = [] if who.is_new else storefront.methods()
    items = _bundles(offer)
    response = page(
        "front",
        status,
        offer=offer,
        items=items,
        chosen=chosen if chosen in {one.item_identifier for one in items} else items[0].item_identifier,
        methods=methods,
        bought=shopper.last(request),
        said=said,
        key=uuid.uuid4().hex,
        form_token=who.form_token,
        years=visit.years(parts),
    )
    shopper.remember(response, who, secure=visit.is_secure(parts))
    return response


def _bundles(offer: Offer) -> list[Item]:
    return [item for item in offer.items() if item.kind == BUNDLE]


def _unanswered(lost: NoAnswer) -> Response:
    """Nobody knows yet: the browser's own way to send a form once more brings the same card under the same key."""
    retry_after_s = RETRY_AFTER_S if lost.retry_after_s is None else int(lost.retry_after_s)
    status, said = HTTPStatus.SERVICE_UNAVAILABLE, words.NOT_HEARD
    if lost.why == RateLimited.message_code:
        status, said = HTTPStatus.TOO_MANY_REQUESTS, words.TOO_OFTEN
    return problem(status, said.title, said.text, retry_after_s=retry_after_s)
