"""A storefront at the running stack: it resolves offers, submits orders and follows them, as any client would.

It submits and waits through the Python client, which says nothing twice here: a promise that is only kept at the second
try must not pass for one that is kept. What is about the wire itself is asked by hand.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from shared.client import Checkout, CheckoutResult, Payment, StillRunning, Terms
from shared.domain.cards import Card
from tests.support.kept_connections import KEPT
from tests.support.wire import GOOD_CARD, Document, a_request, an_order

PREFIX: Final = "/api/v1"
TERMINAL: Final = frozenset({"CHECK_OUT_DONE", "CHECK_OUT_FAILED"})
PROCESSING: Final = "CHECK_OUT_PROCESSING"
CHALLENGED: Final = "CHECK_OUT_3DS_REQUIRED"
DONE: Final = "CHECK_OUT_DONE"
FAILED: Final = "CHECK_OUT_FAILED"
LOOK_EVERY_S: Final = 0.1
"""Shorter than the published two seconds, so that a test need not wait; the demo tenant's limits allow it."""
ORDER_WITHIN_S: Final = 45.0
"""An order takes a second; one whose message got lost is rung for again after ten."""


def code_of(document: Document) -> str:
    """status.messageCode."""
    return str(document["status"]["messageCode"])


def new_customer() -> str:
    """A customer nobody met before."""
    return f"cu.99.{secrets.randbelow(10**9):09}"


def new_correlation() -> str:
    """A correlationId nobody used before."""
    return f"co-{secrets.token_hex(8)}"


@dataclass(slots=True)
class Storefront:
    """One key's way to the API."""

    base_url: str
    tenant: str
    key: str = field(repr=False)
    checkout: Checkout = field(init=False)
    _http: httpx.Client = field(init=False, repr=False)
    _patient: Checkout = field(init=False, repr=False)
    _waiting_http: httpx.Client = field(init=False, repr=False)

    def __post_init__(self) -> None:
        headers = {"x-api-key": self.key, "x-tn": self.tenant}
        self._http = httpx.Client(base_url=self.base_url, headers=headers, timeout=20, trust_env=False, limits=KEPT)
        # Its timeouts are the client's own: an answer may be held for as long as it asks.
        own_http = httpx.Client(trust_env=False, limits=KEPT)
        self.checkout = Checkout(self.base_url, tenant=self.tenant, key=self.key, terms=Terms(tries=1), http=own_http)
        # Who polls asks again where a connection was found dead; that an answer comes is what such a test is about.
        self._patient = Checkout(self.base_url, tenant=self.tenant, key=self.key, http=own_http)
        self._waiting_http = own_http

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()
        self._waiting_http.close()

    def call(self, method: str, path: str, *, prefix: str = PREFIX, **more: Any) -> httpx.Response:
        """Any call; *path* without the prefix."""
        return self._http.request(method, f"{prefix}{path}", **more)

    def offer(self, customer: str, **context: Any) -> Document:
        """A purchase offer for *customer*, with the published promotion unless *context* says otherwise."""
        asked = {"customerUrn": customer, "interactionType": "NewAcquisition", "storefrontUrn": "st.00.001"} | context
        answer = self.call("POST", "/c2a/offer/bundles", json={"context": asked})
        assert answer.status_code == 200, answer.text
        offer: Document = answer.json()["offer"]
        return offer

    def submit(
        self, document: Document, *, prefix: str = PREFIX, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """POST /c2a/offer/checkout."""
        return self.call("POST", "/c2a/offer/checkout", prefix=prefix, json=document, headers=headers)

    def order(self, payment: Document, *items: Document, customer: str | None = None, **replaced: Any) -> str:
        """Order *items* of a fresh offer; the tracking number of the accepted order."""
        whose = customer or new_customer()
        offer = self.offer(whose)["offerIdentifier"]
        document = a_request(an_order(offer, whose, *items, **replaced), payment)
        if "correlationId" in document["order"]:
            return self.checkout.submit_document(document).tracking_number
        answer = self.submit(document)  # The client never submits without a key.
        assert answer.status_code == 202, answer.text
        return str(answer.json()["trackingNumber"])

    def poll(self, tracking_number: str, **headers: str) -> httpx.Response:
        """GET the order's status."""
        return self.call("GET", f"/c2a/offer/checkout/{tracking_number}/status", headers=headers)

    def events(self, tracking_number: str) -> Iterator[Document]:
        """What the order's stream tells, until it ends."""
        path, accept = f"{PREFIX}/c2a/offer/checkout/{tracking_number}/status", {"Accept": "text/event-stream"}
        with self._http.stream("GET", path, headers=accept, timeout=ORDER_WITHIN_S) as answer:
            assert answer.status_code == 200
            for line in answer.iter_lines():
                if line.startswith("data: "):
                    yield json.loads(line.removeprefix("data: "))

    def status(self, tracking_number: str) -> Document:
        """Where the order stands."""
        answer = self.poll(tracking_number)
        assert answer.status_code == 200, answer.text
        document: Document = answer.json()
        return document

    def until(self, tracking_number: str, *codes: str, within_s: float = ORDER_WITHIN_S) -> Document:
        """The first status with one of *codes*; fails if the order ends otherwise, or not in time."""
        ends_at = time.monotonic() + within_s
        while code_of(now := self.status(tracking_number)) not in codes:
            assert code_of(now) not in TERMINAL, now
            assert time.monotonic() < ends_at, f"{tracking_number} is still {code_of(now)} after {within_s:g} s"
            time.sleep(LOOK_EVERY_S)
        return now

    def end(self, tracking_number: str, *, within_s: float = ORDER_WITHIN_S) -> Document:
        """The order's terminal status; fails if it does not end in time. A redirect is waited out."""
        ends_at = time.monotonic() + within_s
        now: CheckoutResult | str = tracking_number
        while isinstance(now, str) or not now.is_final:
            try:
                now = self._patient.wait(now, within_s=ends_at - time.monotonic())
            except StillRunning as running:
                raise AssertionError(f"{tracking_number} is still {running.last.code} after {within_s:g} s") from None
        return self.status(tracking_number)

    def keep_card(self, customer: str, number: str = GOOD_CARD) -> str:
        """A stored card of *customer*; its URN."""
        card = Card("Jane Doe", number, "2029", "12", "123")
        return self.checkout.add_method(customer, Payment(card)).payment_method_urn
