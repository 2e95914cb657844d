"""What the shop page asks of the API, through the published API alone: as any storefront's back end, with our client.

A back end and not the browser, because offers, orders and stored cards need a secret key, and a visitor may ask only
for their own: the customer is put into every call here. The calls take no network: they enter this process's own
application by its WSGI door, and pass key, limits and checks as those of a stranger do. Only watching an order is left
to the browser (files/shop.js), which may hold a publishable key and can wait without costing anybody a thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context
from dataclasses import dataclass
from typing import Any, Final

import httpx

from api.demo.door import Shop
from shared.client import Card, Checkout, CheckoutResult, Method, Offer, Payment, Refused, Terms
from shared.client.asks import payment_document

WITHIN: Final = Terms(patience_s=6.0, tries=3)
"""A shopper looks at a blank page meanwhile; what takes longer is told, and loading the page again goes on there."""
NOWHERE: Final = "http://localhost"
"""A URL needs a host; nobody is called there."""
ACTIVE: Final = "Active"
CARD: Final = "CreditCard"


@dataclass(frozen=True, slots=True)
class Wish:
    """What a shopper sends: one unit of *item*, for what *offer* says, paid by a new *card* or by a stored *method*.

    *key*: the form's own, so that a form sent twice is one order.
    """

    key: str
    offer: str
    item: str
    card: Card | None
    method: str | None
    keep: bool


@dataclass(frozen=True, slots=True)
class Storefront:
    """One visitor's way to the API. Every method raises Refused and NoAnswer."""

    api: Checkout
    customer: str

    def offer(self) -> Offer:
        """What there is to buy, at prices that hold for some minutes."""
        return self.api.resolve(self.customer, interactionType="NewAcquisition", clientPlatformType="Web")

    def methods(self) -> list[Method]:
        """The visitor's stored cards that can be paid with."""
        try:
            listed = self.api.methods(self.customer)
        except Refused as refused:
            if refused.code == "CUSTOMER_NOT_FOUND":  # They ordered nothing yet.
                return []
            raise
        return [one for one in listed if one.state == ACTIVE and one.payment_channel == CARD]

    def submit(self, wish: Wish) -> CheckoutResult:
        """Order it, under the form's key as Idempotency-Key."""
        return self.api.submit_document(self._document(wish), key=wish.key)

    def status(self, number: str) -> CheckoutResult:
        """Where an order stands; whoever knows a tracking number may ask, as with the publishable key."""
        return self.api.status(number)

    def forget(self, method: str) -> None:
        """Delete a stored card, if it is this visitor's."""
        if method in {one.payment_method_urn for one in self.methods()}:
            self.api.delete_method(method)

    def _document(self, wish: Wish) -> dict[str, Any]:
        # No ipAddress: behind a proxy every visitor has the proxy's, and would be stopped for the others' declines.
        payment = Payment(card=wish.card, stored_method_urn=wish.method, keep=wish.keep)
        order = {
            "offerIdentifier": wish.offer,
            "items": [{"itemIdentifier": wish.item, "quantity": 1}],
            "customer": {"customerUrn": self.customer},
        }
        return {"order": order, "paymentMethod": payment_document(payment)}


@contextmanager
def entered(app: Any, shop: Shop, customer: str, request_id: str) -> Iterator[Storefront]:
    """The way of *customer* into *app*, a WSGI application; calls carry *request_id*, so that logs join."""
    http = httpx.Client(transport=_Inside(app), headers={"x-request-id": request_id}, trust_env=False)
    with http:
        yield Storefront(Checkout(NOWHERE, tenant=str(shop.tenant_id), key=shop.key, terms=WITHIN, http=http), customer)


class _Inside(httpx.BaseTransport):
    """Calls an application in a context of its own: nothing of the request we are in is seen by that one, or left."""

    def __init__(self, app: Any) -> None:
        self._wsgi = httpx.WSGITransport(app=app)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """One call, its answer read to the end."""
        return Context().run(self._answered, request)

    def _answered(self, request: httpx.Request) -> httpx.Response:
        response = self._wsgi.handle_request(request)
        response.read()
        return response
