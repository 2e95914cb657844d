"""Every operation of the front door as a table: what it takes, what it answers, by which names (contract sections 2-6).

The table is held against Flask's own rules by a test, and its models are those that validate and answer, so the
document cannot drift from the code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import BaseModel

from api.openapi import examples
from api.schemas.checkout import CheckoutRequest
from api.schemas.checkout_answers import CheckoutResult, RefusedCheckout
from api.schemas.common import Refused
from api.schemas.methods import AddMethodRequest, PaymentMethodList, PaymentMethodResponse
from api.schemas.offers import BundlesRequest, OfferResponse, ShowcaseRequest


@dataclass(frozen=True, slots=True)
class Told:
    """One answer: its model (None: no JSON), the codes it may carry, its headers and examples, and the media type it
    has if it is no JSON, or may have as well."""

    model: type[BaseModel] | None
    codes: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    examples: Mapping[str, Any] = field(default_factory=dict)
    media_type: str | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """One operation. *path* in OpenAPI's spelling, under both prefixes unless *bare*; *by_account*: limited a PSP
    account, where no key is needed."""

    method: str
    path: str
    name: str
    summary: str
    answers: Mapping[int, Told]
    takes: type[BaseModel] | None = None
    takes_examples: Mapping[str, Any] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    request_headers: tuple[str, ...] = ()
    needs_key: bool = True
    by_account: bool = False
    bare: bool = False
    tag: str = "checkout"

    @property
    def is_limited(self) -> bool:
        """Whether calls are counted, and told so in the RateLimit headers."""
        return self.needs_key or self.by_account


_CHECKOUT_409: Final = (
    "OFFER_EXPIRED",
    "OFFER_NOT_PURCHASABLE",
    "OFFER_NOT_FOUND",
    "OFFER_ALREADY_ORDERED",
    "OFFER_ITEM_NOT_FOUND",
    "IDEMPOTENCY_CONFLICT",
    "PAYMENT_METHOD_NOT_FOUND",
    "PAYMENT_METHOD_INACTIVE",
    "PROVIDER_NOT_AVAILABLE",
)
_METHODS: Final = "/c2a/customer/payment/methods"
_METHOD: Final = Told(PaymentMethodResponse, ("SUCCESS",), examples={"method": examples.METHOD})
_NO_METHOD: Final = Told(PaymentMethodResponse, ("PAYMENT_METHOD_NOT_FOUND",))
_P: Final = {"p": "The method's URN, pm.<customer>.<n>."}
_PSP_AWAY: Final = Told(PaymentMethodResponse, ("PSP_UNAVAILABLE", "SERVICE_UNAVAILABLE"), ("Retry-After",))
_HTML: Final = Told(None, media_type="text/html")


def _bad(model: type[BaseModel], *more: str) -> Told:
    return Told(model, ("INVALID_REQUEST", *more))


def _offer(name: str, summary: str, takes: type[BaseModel], example: Mapping[str, Any]) -> Route:
    return Route(
        "post",
        f"/c2a/offer/{name}",
        name,
        summary,
        {
            200: Told(OfferResponse, ("SUCCESS",), examples={"offer": examples.OFFER}),
            400: _bad(OfferResponse, "BAD_REQUEST", "INVALID_PROMOTION_CODE"),
            404: Told(OfferResponse, ("NO_OFFER_FOUND", "STOREFRONT_NOT_FOUND")),
        },
        takes=takes,
        takes_examples={"published": example},
        tag="offers",
    )


def _switch(name: str) -> Route:
    return Route(
        "post",
        f"{_METHODS}/{name}",
        f"{name}Method",
        f"{name.capitalize()} a stored method",
        {200: _METHOD, 400: _bad(PaymentMethodResponse), 404: _NO_METHOD},
        query=_P,
        tag="payment methods",
    )


ROUTES: Final = (
    Route(
        "post",
        "/c2a/offer/checkout",
        "submitCheckout",
        "Order an offer",
        {
            202: Told(
                CheckoutResult,
                ("CHECK_OUT_PROCESSING", "CHECK_OUT_3DS_REQUIRED", "CHECK_OUT_DONE", "CHECK_OUT_FAILED"),
                ("Location", "Link", "Retry-After", "Idempotent-Replayed"),
                {"accepted": examples.ACCEPTED},
            ),
            400: _bad(Refused, "BAD_REQUEST", "INVALID_CARD"),
            409: Told(RefusedCheckout, _CHECKOUT_409, examples={"expired": examples.REFUSED}),
        },
        takes=CheckoutRequest,
        takes_examples={
            "freshCard": examples.FRESH_CARD,
            "storedCard": examples.STORED_CARD,
            "aliases": examples.ALIASES,
        },
        request_headers=("Idempotency-Key",),
    ),
    Route(
        "get",
        "/c2a/offer/checkout/{trackingNumber}/status",
        "readStatus",
        "Ask where an order stands: now, once it moves (Prefer), or each time it does (Accept: text/event-stream)",
        {
            200: Told(
                CheckoutResult,
                ("CHECK_OUT_PROCESSING", "CHECK_OUT_3DS_REQUIRED", "CHECK_OUT_DONE", "CHECK_OUT_FAILED"),
                ("ETag", "Cache-Control", "Retry-After", "Preference-Applied"),
                {
                    "processing": examples.ACCEPTED,
                    "challenge": examples.CHALLENGED,
                    "done": examples.DONE,
                    "failed": examples.FAILED,
                },
                media_type="text/event-stream",
            ),
            204: Told(None),
            304: Told(None, headers=("ETag",)),
            404: Told(Refused, ("ORDERED_ITEM_NOT_FOUND",)),
        },
        request_headers=("If-None-Match", "Prefer", "Last-Event-ID"),
    ),
    _offer("bundles", "Resolve an offer this customer may order", BundlesRequest, examples.BUNDLES),
    _offer("showcase", "Show what there is; such an offer cannot be ordered", ShowcaseRequest, examples.SHOWCASE),
    Route(
        "post",
        f"{_METHODS}/add",
        "addMethod",
        "Tokenize a card now",
        {
            200: _METHOD,
            400: _bad(PaymentMethodResponse, "BAD_REQUEST", "INVALID_CARD"),
            404: Told(PaymentMethodResponse, ("CUSTOMER_NOT_FOUND",)),
            409: Told(PaymentMethodResponse, ("CARD_DECLINED", "PROVIDER_NOT_AVAILABLE")),
            503: _PSP_AWAY,
        },
        takes=AddMethodRequest,
        takes_examples={"published": examples.ADD_METHOD},
        tag="payment methods",
    ),
    Route(
        "get",
        f"{_METHODS}/list",
        "listMethods",
        "List a customer's methods",
        {
            200: Told(PaymentMethodList, ("SUCCESS",), examples={"methods": examples.METHODS}),
            400: _bad(PaymentMethodResponse),
            404: Told(PaymentMethodResponse, ("CUSTOMER_NOT_FOUND",)),
        },
        query={"c": "The customer's URN."},
        tag="payment methods",
    ),
    Route(
        "get",
        f"{_METHODS}/info",
        "readMethod",
        "Show one method",
        {200: _METHOD, 400: _bad(PaymentMethodResponse), 404: _NO_METHOD},
        query=_P,
        tag="payment methods",
    ),
    Route(
        "delete",
        f"{_METHODS}/delete",
        "deleteMethod",
        "Delete a method, at its PSP too",
        {200: _METHOD, 400: _bad(PaymentMethodResponse), 404: _NO_METHOD, 503: _PSP_AWAY},
        query=_P,
        tag="payment methods",
    ),
    _switch("activate"),
    _switch("inactivate"),
    Route(
        "post",
        "/c2a/psp/{provider}/{accountId}/webhook",
        "receiveWebhook",
        "A PSP tells us news, signed by its own scheme",
        {
            200: Told(Refused, ("SUCCESS",)),
            400: _bad(Refused),
            404: Told(Refused, ("NOT_FOUND",)),
            413: Told(Refused, ("REQUEST_TOO_LARGE",)),
        },
        needs_key=False,
        by_account=True,
        tag="PSP side",
    ),
    *(
        Route(
            method,
            "/c2a/offer/checkout/{trackingNumber}/return",
            f"comeBack{method.capitalize()}",
            "Where a shopper's browser comes back from a challenge",
            {200: _HTML, 303: Told(None, headers=("Location",)), 400: _HTML, 503: _HTML},
            query={"state": "Signed by us; says which order the shopper comes back to."},
            needs_key=False,
            tag="PSP side",
        )
        for method in ("get", "post")
    ),
    *(
        Route(
            "get",
            path,
            name,
            summary,
            answers,
            needs_key=False,
            bare=True,
            tag="operations",
        )
        for path, name, summary, answers in (
            ("/healthz", "isUp", "Whether the process runs", {200: Told(Refused, ("SUCCESS",))}),
            (
                "/readyz",
                "isReady",
                "Whether PostgreSQL and the vault answer",
                {
                    200: Told(Refused, ("SUCCESS",)),
                    503: Told(Refused, ("SERVICE_UNAVAILABLE",), ("Retry-After",)),
                },
            ),
        )
    ),
    Route(
        "get",
        "/c2a/openapi.json",
        "readOpenApi",
        "This document",
        {200: Told(None, media_type="application/json")},
        needs_key=False,
        tag="operations",
    ),
    Route(
        "get",
        "/c2a/docs",
        "readDocs",
        "This document as a page",
        {200: _HTML},
        needs_key=False,
        tag="operations",
    ),
    Route(
        "get",
        "/c2a/docs/{file}",
        "readDocsFile",
        "A file of that page",
        {200: Told(None, media_type="*/*"), 404: Told(Refused, ("NOT_FOUND",))},
        needs_key=False,
        tag="operations",
    ),
)
