"""Every way in which a request may name something, route by route: what must look alike whosever it is.

A row is a route and a kind of identifier. A route that takes none has its reason here; a route that is in neither
place fails the test.
"""

from __future__ import annotations

import json
import re
import secrets
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from standardwebhooks import Webhook
from werkzeug.test import TestResponse

from api.ops import sessions
from shared.ids import return_state
from tests.support.statements import counting
from tests.support.two_tenants import SECRET, Ids, OneOfTwo
from tests.support.wire import Document, a_request, an_order, fresh_card, stored_card

Ask = Callable[[OneOfTwo, Ids], Mapping[str, Any]]
"""What a tenant sends (path and arguments of a Flask client) with these identifiers."""

PREFIX: Final = "/api/v1"
METHODS: Final = "/c2a/customer/payment/methods"
NAMES_NOTHING: Final = {
    "GET /c2a/docs": "a page",
    "GET /c2a/docs/<file>": "the page's files, from a list",
    "GET /c2a/openapi.json": "a document",
    "GET /healthz": "up or not",
    "GET /readyz": "up or not",
    "GET /ops": "the console's overview, of the session's tenant",
    "GET /ops/live": "the same, as one document",
    "GET /ops/webhooks": "what waits in the inbox of the session's tenant",
    "GET /ops/login": "a form",
    "POST /ops/login": "takes a key, which names its tenant itself",
    "POST /ops/logout": "ends the session that asks",
    "GET /ops/files/<file>": "the console's files, from a list",
}
"""Routes that take no identifier of a tenant's, and what they are."""


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of identifier at one route. *same_if_own*: even one's own makes no difference there."""

    route: str
    kind: str
    ask: Ask
    same_if_own: bool = False

    @property
    def name(self) -> str:
        """How the row is called in a report."""
        return f"{self.route} {self.kind}"


@dataclass(frozen=True, slots=True)
class Heard:
    """All that a caller can learn from one answer, and what it cost us; what is new in every answer is left out."""

    status: int
    body: str
    headers: tuple[tuple[str, str], ...]
    statements: tuple[str, ...]


def hear(asker: OneOfTwo, row: Row, ids: Ids) -> Heard:
    """Ask with *ids*, as *asker*."""
    own = asker.seller
    method, _, path = row.route.partition(" ")
    with counting(own.parts.engine) as sent:
        client = own.app.test_client(use_cookies=False)  # With a jar it would send no others than its own.
        answer = client.open(method=method, **{"path": PREFIX + path, **row.ask(asker, ids)})
    return Heard(answer.status_code, _told(answer, ids), tuple(sorted(_headers(answer, ids))), tuple(sent))


def _told(answer: TestResponse, ids: Ids) -> str:
    return _without_what_is_new(answer.text, ids)


def _headers(answer: TestResponse, ids: Ids) -> list[tuple[str, str]]:
    return [
        (name, _without_what_is_new(value, ids))
        for name, value in answer.headers.items()
        if name not in ("x-request-id", "RateLimit")
    ]


def _without_what_is_new(text: str, ids: Ids) -> str:
    for kind in (
        "method",
        "customer",
        "storefront",
        "promotion",
        "account",
        "correlation",
    ):  # What was asked may be said again.
        text = text.replace(getattr(ids, kind), kind)
    text = re.sub(r"trk_[0-9A-Z]{26}", "trk_", text)
    text = re.sub(r"\b(of|sh)_[\w-]{20,}", r"\1_", text)
    text = re.sub(r'name="(form_token|action_id)" value="[^"]+"', r"\1", text)
    return re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "then", text)


def _checkout(payment: Callable[[Ids], Document], **order: str) -> Ask:
    """*order*: fields of the order, by the kind of identifier they take."""

    def ask(asker: OneOfTwo, ids: Ids) -> Mapping[str, Any]:
        named = {field: getattr(ids, kind) for field, kind in order.items()}
        document = an_order(named.pop("offer", asker.ids.offer), named.pop("customer", asker.ids.customer), **named)
        return {"json": a_request(document, payment(ids)), "headers": asker.seller.shop.headers}

    return ask


def _offers(**context: str) -> Ask:
    def ask(asker: OneOfTwo, ids: Ids) -> Mapping[str, Any]:
        named = {"storefrontUrn": asker.ids.storefront} | {name: getattr(ids, kind) for name, kind in context.items()}
        body = {"context": {"interactionType": "NewAcquisition", **named}}
        return {"json": body, "headers": asker.seller.shop.headers}

    return ask


def _query(name: str, kind: str) -> Ask:
    return lambda asker, ids: {"query_string": {name: getattr(ids, kind)}, "headers": asker.seller.shop.headers}


def _keep_card(asker: OneOfTwo, ids: Ids) -> Mapping[str, Any]:
    payment = fresh_card(providerIdentifier=ids.provider)
    return {"json": {"customerUrn": ids.customer, "paymentMethod": payment}, "headers": asker.seller.shop.headers}


def _status(asker: OneOfTwo, ids: Ids) -> Mapping[str, Any]:
    return {"path": f"{PREFIX}/c2a/offer/checkout/{ids.number}/status", "headers": asker.seller.shop.headers}


def _return(asker: OneOfTwo, ids: Ids) -> Mapping[str, Any]:
    """A shopper whose state was signed for this tenant."""
    state = return_state(asker.seller.parts.keyring, asker.seller.shop.tenant_id, ids.number, 1)
    return {"path": f"{PREFIX}/c2a/offer/checkout/{ids.number}/return", "query_string": {"state": state}}


def _webhook(asker: OneOfTwo, ids: Ids) -> Mapping[str, Any]:
    """What this tenant's PSP signs and delivers."""
    event_id, now = f"evt_{secrets.token_hex(8)}", datetime.now(UTC)
    charge = {"pspReference": f"sb_{ids.psp_key}", "merchantReference": ids.number, "idempotencyKey": ids.psp_key}
    news = {"type": "charge.captured", "charge": charge | {"amountMinor": 1499, "currency": "EUR", "state": "captured"}}
    body = json.dumps({"id": event_id, "createdAt": now.isoformat()} | news)
    headers = {
        "webhook-id": event_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(SECRET).sign(event_id, now, body),
        "content-type": "application/json",
    }
    path = f"{PREFIX}/c2a/psp/sandbox/{asker.ids.account}/webhook"
    return {"path": path, "data": body, "headers": headers}


def _foreign_address(asker: OneOfTwo, ids: Ids) -> Mapping[str, Any]:
    """News to an address, signed by nobody, under a provider that only the address's owner could have there."""
    return {"path": f"{PREFIX}/c2a/psp/{ids.provider}/{ids.account}/webhook", "data": b"{}"}


def _logged_in(asker: OneOfTwo) -> tuple[str, str]:
    """The cookie of a new session at the console, and the token of its forms."""
    parts = asker.seller.parts
    token = sessions.begin(parts.redis, asker.operator_key, "Ana", parts.clock())
    session = sessions.find(parts.redis, token, parts.clock(), renew=False)
    assert session is not None
    return f"c2a_ops={token}", session.form_token


def _console(path: Callable[[Ids], str], **query: str) -> Ask:
    """A page of the console; *query*: fields of a search, by the kind of identifier they take."""

    def ask(asker: OneOfTwo, ids: Ids) -> Mapping[str, Any]:
        named = {field: getattr(ids, kind) for field, kind in query.items()}
        return {"path": path(ids), "query_string": named, "headers": {"Cookie": _logged_in(asker)[0]}}

    return ask


def _form(path: Callable[[Ids], str], **fields: Callable[[Ids], str]) -> Ask:
    """A form of the console, as its page would send it."""

    def ask(asker: OneOfTwo, ids: Ids) -> Mapping[str, Any]:
        cookie, token = _logged_in(asker)
        form = {"form_token": token, "action_id": str(uuid.uuid4()), "why": "a reason"}
        named = {name: value(ids) for name, value in fields.items()}
        return {"path": path(ids), "data": form | named, "headers": {"Cookie": cookie}}

    return ask


CHECKOUT: Final = "POST /c2a/offer/checkout"
STATUS: Final = "GET /c2a/offer/checkout/<tracking_number>/status"
RETURN: Final = "/c2a/offer/checkout/<tracking_number>/return"
ORDER_PAGE: Final = "GET /ops/orders/<number>"
ORDER_FORM: Final = "POST /ops/orders/<number>/<action>"
WEBHOOK: Final = "POST /c2a/psp/<provider>/<account_id>/webhook"


def _fresh(_: Ids) -> Document:
    return fresh_card()


ROWS: Final = (
    Row(STATUS, "number", _status),
    Row(CHECKOUT, "offer", _checkout(_fresh, offer="offer")),
    Row(CHECKOUT, "method", _checkout(lambda ids: stored_card(ids.method), customer="customer")),
    Row(CHECKOUT, "provider", _checkout(lambda ids: fresh_card(providerIdentifier=ids.provider))),
    Row(CHECKOUT, "correlation", _checkout(_fresh, correlationId="correlation")),
    Row(CHECKOUT, "customer", _checkout(_fresh, customer="customer"), same_if_own=True),
    Row("POST /c2a/offer/bundles", "storefront", _offers(storefrontUrn="storefront")),
    Row("POST /c2a/offer/bundles", "promotion", _offers(promotionCode="promotion")),
    Row("POST /c2a/offer/bundles", "customer", _offers(customerUrn="customer"), same_if_own=True),
    Row("POST /c2a/offer/showcase", "storefront", _offers(storefrontUrn="storefront")),
    Row("POST /c2a/offer/showcase", "promotion", _offers(promotionCode="promotion")),
    Row("POST /c2a/offer/showcase", "customer", _offers(customerUrn="customer"), same_if_own=True),
    Row(f"POST {METHODS}/add", "provider", _keep_card),
    Row(f"POST {METHODS}/add", "customer", _keep_card, same_if_own=True),
    Row(f"GET {METHODS}/list", "customer", _query("c", "customer")),
    Row(f"GET {METHODS}/info", "method", _query("p", "method")),
    Row(f"POST {METHODS}/inactivate", "method", _query("p", "method")),
    Row(f"POST {METHODS}/activate", "method", _query("p", "method")),
    Row(f"DELETE {METHODS}/delete", "method", _query("p", "method")),
    Row(f"GET {RETURN}", "number", _return),
    Row(f"POST {RETURN}", "number", _return),
    Row(WEBHOOK, "psp_key", _webhook, same_if_own=True),  # A PSP hears the same whatever it tells.
    Row(WEBHOOK, "account", _foreign_address, same_if_own=True),
    Row("GET /ops/orders", "number", _console(lambda _: "/ops/orders", number="number")),
    Row("GET /ops/orders", "correlation", _console(lambda _: "/ops/orders", correlation="correlation")),
    Row("GET /ops/orders", "customer", _console(lambda _: "/ops/orders", customer="customer")),
    Row(ORDER_PAGE, "number", _console(lambda ids: f"/ops/orders/{ids.number}")),
    Row(ORDER_FORM, "number", _form(lambda ids: f"/ops/orders/{ids.number}/retry")),
    Row("POST /ops/webhooks", "number", _form(lambda _: "/ops/webhooks", number=lambda ids: ids.number)),
)
