"""A shopper whose every card is a canary, and who keeps whatever anybody answers."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from deploy.crashtest.canaries import CVC, MONTH, YEAR, Canary, canary
from tests.support.kept_connections import KEPT
from tests.support.stack import Stack
from tests.support.storefront import PREFIX, TERMINAL, new_correlation, new_customer
from tests.support.wire import Document, a_request, an_order

SUBMIT: Final = "/c2a/offer/checkout"
ADD: Final = "/c2a/customer/payment/methods/add"
PATIENCE_S: Final = 13.0
"""A PSP that hangs is given up after 10 s and asked again; an order that takes longer still has been seen enough."""
TRIES: Final = 12
"""More failpoints than one request of an order passes in the two API processes."""


@dataclass(slots=True)
class Shopper:
    """One client of a stack; may be used by several threads."""

    stack: Stack
    cards: list[Canary] = field(default_factory=list)
    strays: list[Canary] = field(default_factory=list)
    """Cards that were typed where none belongs."""
    heard: list[bytes] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    numbers: list[str] = field(default_factory=list)
    """Tracking numbers of the accepted orders."""
    _http: httpx.Client = field(init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        hooks = {"response": [self.hear]}
        self._http = httpx.Client(timeout=30, trust_env=False, event_hooks=hooks, limits=KEPT)

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def card(self, behaviour: str = "success", **replaced: Any) -> Document:
        """A paymentMethod with a new canary; *replaced*: fields of its creditCard."""
        new = canary(behaviour)
        with self._lock:
            self.cards.append(new)
        typed = {"cardHolderName": new.holder, "cardNumber": new.number, "expireYear": YEAR, "expireMonth": MONTH}
        return {"paymentChannel": "CreditCard", "creditCard": typed | {"cvc": CVC} | replaced}

    def stray(self) -> str:
        """A new number to be sent where no card belongs."""
        new = canary()
        with self._lock:
            self.strays.append(new)
        return new.number

    def call(self, method: str, path: str, **more: Any) -> httpx.Response:
        """A call of the storefront; *path* without the prefix."""
        headers = {**self.stack.headers, **more.pop("headers", {})}
        return self._http.request(method, f"{self.stack.base_url}{PREFIX}{path}", headers=headers, **more)

    def document(self, payment: Document, **order: Any) -> Document:
        """A whole request for a fresh offer; *order* replaces fields of it."""
        customer = new_customer()
        context = {"customerUrn": customer, "interactionType": "NewAcquisition", "storefrontUrn": "st.00.001"}
        answer = insist(lambda: self.call("POST", "/c2a/offer/bundles", json={"context": context}))
        assert answer.status_code == httpx.codes.OK, answer.text
        offer = answer.json()["offer"]
        named = {"correlationId": new_correlation()} | order
        return a_request(an_order(offer["offerIdentifier"], customer, **named), payment)

    def submit(self, document: Document, **more: Any) -> httpx.Response:
        """POST of an order."""
        answer = self.call("POST", SUBMIT, json=document, **more)
        if answer.status_code == httpx.codes.ACCEPTED:
            self.took(answer.json()["trackingNumber"])
        return answer

    def took(self, number: str) -> None:
        """An order was accepted."""
        with self._lock:
            self.numbers.append(number)

    def insisted(self, document: Document) -> httpx.Response:
        """POST of an order until it is accepted."""
        answer = insist(lambda: self.submit(document))
        assert answer.status_code == httpx.codes.ACCEPTED, answer.text
        return answer

    def buy(self, behaviour: str, *, keep: str = "always", press: str = "approve") -> None:
        """Order, follow the order to its end, and press a button where there is one."""
        document = self.document(self.card(behaviour) | {"storeMethodSuccessPayment": keep})
        self.follow(self.insisted(document).json()["trackingNumber"], press=press)

    def follow(self, number: str, *, press: str = "approve", within_s: float = PATIENCE_S) -> None:
        """Poll until the order has ended or *within_s* passed: how it ends is for other tests."""
        pressed, ends_at = False, time.monotonic() + within_s
        while time.monotonic() < ends_at:
            answer = self.call("GET", f"{SUBMIT}/{number}/status", headers={"Prefer": "wait=2"})
            if answer.status_code != httpx.codes.OK:
                time.sleep(0.2)
                continue
            now = answer.json()
            if now["status"]["messageCode"] in TERMINAL:
                return
            page = (now.get("redirectInstructions") or {}).get("redirectUrl")
            if page and not pressed:
                pressed = True
                self._http.get(page)
                back = self._http.post(page, data={"decision": press}).headers.get("location")
                if back:
                    self._http.get(back)

    def raw(self, request: bytes) -> None:
        """Send bytes that are no HTTP a client library would write, and hear what comes."""
        address = urlsplit(self.stack.base_url)
        with socket.create_connection((address.hostname, address.port), timeout=30) as conn:
            conn.sendall(request)
            conn.shutdown(socket.SHUT_WR)
            while piece := conn.recv(65_536):
                with self._lock:
                    self.heard.append(piece)

    def hear(self, answer: httpx.Response) -> None:
        """Keep an answer."""
        answer.read()
        head = f"{answer.status_code} {answer.headers.multi_items()}".encode()
        with self._lock:
            self.statuses.append(answer.status_code)
            self.heard.append(head + b"\n" + answer.content)


def insist(call: Callable[[], httpx.Response]) -> httpx.Response:
    """Make *call*, and again while it meets a failpoint that raises: what a client does that wants its order."""
    for _ in range(TRIES):
        answer = call()
        if answer.status_code < httpx.codes.INTERNAL_SERVER_ERROR:
            break
    return answer
