"""The HTTP side: who asks, under which key, for what; the same key gets its first answer again."""

from __future__ import annotations

import json
import re
from http.server import BaseHTTPRequestHandler
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import ValidationError

from tests.support.adyen_fake import asks
from tests.support.adyen_fake.books import Books, Merchant, Remembered
from tests.support.adyen_fake.till import Answered, Till, error
from tests.support.adyen_fake.troubles import BEFORE, REFUSALS, Troubles, refusal

VERSION: Final = "/v72"
_ON_PAYMENT: Final = re.compile(r"/payments/([^/]+)/(reversals|refunds)")
_STORED: Final = re.compile(r"/storedPaymentMethods/([^/]+)")
_MODELS: Final[dict[str, type[asks.Ask]]] = {
    "payments": asks.Payment,
    "details": asks.Details,
    "paymentLinks": asks.Link,
    "reversals": asks.Reversal,
    "refunds": asks.Refund,
}
_OPERATIONS: Final = {"/payments": "payments", "/payments/details": "details", "/paymentLinks": "paymentLinks"}
PAGE: Final = b"""<!doctype html><title>Fake of Adyen</title><h1>No real bank</h1><form method="post">
<button name="decision" value="approve">Approve</button><button name="decision" value="decline">Decline</button>
<button name="decision" value="cancel">Cancel</button></form>"""


class Handler(BaseHTTPRequestHandler):
    """One connection; the parts are set on a subclass of its server."""

    protocol_version = "HTTP/1.1"
    books: Books
    till: Till
    troubles: Troubles
    calls: list[tuple[str, str, dict[str, Any], dict[str, str]]]
    """What was asked: method, path, document, headers."""

    def do_GET(self) -> None:
        """A page for the shopper."""
        self._send(200, PAGE, "text/html; charset=utf-8")

    def do_POST(self) -> None:
        """An API call, or a button of a page."""
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.path.startswith("/page/"):
            decision = parse_qs(body.decode()).get("decision", ["approve"])[0]
            self._send(303, b"", location=self.till.decide(self.path.removeprefix("/page/"), decision))
            return
        self._answer(body)

    def do_DELETE(self) -> None:
        """DELETE /storedPaymentMethods/{id}."""
        self._answer(b"")

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: a test tells what it needs to by failing."""

    def _answer(self, body: bytes) -> None:
        path = urlsplit(self.path).path.removeprefix(VERSION)
        operation, reference = _meant(path)
        document = json.loads(body) if body else {}
        self.calls.append((self.command, path, document, dict(self.headers.items())))
        kind = self.troubles.take(operation)
        if kind in BEFORE:
            self._trouble(kind, refusal(kind, document))
            return
        answered = self._done(operation, reference, document)
        if kind is None:
            self._send(answered[0], json.dumps(answered[1]).encode())
        elif kind in REFUSALS:
            self._send(REFUSALS[kind][0], json.dumps(REFUSALS[kind][1]).encode())
        else:
            self._trouble(kind, answered)

    def _trouble(self, kind: str, answered: Answered) -> None:
        status, document = answered
        if kind.startswith("hang"):
            self.troubles.over.wait(self.troubles.hang_s)
        if kind.startswith(("hang", "drop")):
            self.close_connection = True
        elif kind == "dribble":
            self.close_connection = True
            body = json.dumps(document).encode()
            self.troubles.dribble(self.connection, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        elif kind in REFUSALS:
            self._send(status, json.dumps(document).encode())
        else:
            self._send(status, self.troubles.spoilt(kind, document))

    def _done(self, operation: str, reference: str, document: dict[str, Any]) -> Answered:
        merchant = self._merchant(document)
        if not isinstance(merchant, Merchant):
            return merchant
        key = self.headers.get("Idempotency-Key")
        if key is None:
            return self._carried_out(merchant, operation, reference, document)
        if len(key) > 64:
            return error(422, "703", "required idempotency key is too long")
        with self.books.lock:
            named = merchant.account, key
            held = self.books.keys.get(named)
            if held is not None and held.body is None:
                return REFUSALS["422"]
            if held is not None and held.body is not None:
                return held.status, held.body
            mine = self.books.keys[named] = Remembered()
        answered = self._carried_out(merchant, operation, reference, document)
        with self.books.lock:
            if answered[0] in (200, 201):
                mine.status, mine.body = answered
            else:  # Nothing was done under it.
                del self.books.keys[named]
        return answered

    def _merchant(self, document: dict[str, Any]) -> Merchant | Answered:
        found = next((m for m in self.books.merchants.values() if m.api_key == self.headers.get("x-api-key")), None)
        if found is None:
            return REFUSALS["401"]
        named = document.get("merchantAccount") or self._asked().get("merchantAccount", found.account)
        return found if named == found.account else error(403, "901", "Invalid Merchant Account", "security")

    def _asked(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}

    def _carried_out(self, merchant: Merchant, operation: str, reference: str, document: dict[str, Any]) -> Answered:
        if operation == "forget":
            with self.books.lock:
                return self.till.forget(reference, self._asked().get("shopperReference", ""))
        model = _MODELS.get(operation)
        if model is None:
            return error(404, "000", "not found")
        try:
            ask = model.model_validate(document)
        except ValidationError as refused:
            fields = ", ".join(".".join(map(str, one["loc"])) for one in refused.errors())
            return error(422, "702", f"The request does not fit: {fields}")
        with self.books.lock:
            match ask:
                case asks.Payment():
                    return self.till.pay(merchant, ask)
                case asks.Details():
                    return self.till.finish(merchant, ask)
                case asks.Link():
                    return self.till.link(merchant, ask)
                case asks.Refund():
                    return self.till.refund(merchant, reference, ask)
                case asks.Reversal():
                    return self.till.reverse(merchant, reference, ask)
                case _:
                    raise AssertionError(operation)

    def _send(self, status: int, body: bytes, kind: str = "application/json", location: str | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if location is not None:
            self.send_header("Location", location)
        if status == 204:
            self.end_headers()
            return
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _meant(path: str) -> tuple[str, str]:
    """The operation a path names, and the reference in it."""
    if path in _OPERATIONS:
        return _OPERATIONS[path], ""
    if (on_payment := _ON_PAYMENT.fullmatch(path)) is not None:
        return on_payment[2], unquote(on_payment[1])
    if (stored := _STORED.fullmatch(path)) is not None:
        return "forget", unquote(stored[1])
    return "", ""
