"""PaymentIntents: made and confirmed in one call, read, found, listed, cancelled; and the refunds of what they took."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Any, Final

from tests.support.stripe_fake.books import Books, fresh, shown
from tests.support.stripe_fake.errors import Document, invalid
from tests.support.stripe_fake.moves import Moves

CANCELABLE: Final = frozenset(
    {"requires_payment_method", "requires_capture", "requires_confirmation", "requires_action"}
)
"""And `processing` in rare cases: not here."""
MOST_LISTED: Final = 100
QUERY: Final = re.compile(r"metadata\['(?P<field>\w+)'\]:'(?P<value>(?:[^'\\]|\\.)*)'")


@dataclass(slots=True)
class Intents:
    """The calls under /v1/payment_intents and /v1/refunds."""

    moves: Moves
    index_lag_s: float = 0.0

    def create(self, books: Books, params: dict[str, Any]) -> Document:
        """POST /v1/payment_intents."""
        method, kind = self._method(books, params)
        amount = int(params["amount"])
        if amount <= 0:
            raise invalid("parameter_invalid_integer", param="amount")
        if not re.fullmatch(r"[a-z]{3}", params["currency"]):
            raise invalid("parameter_invalid_string", param="currency")
        off_session = params.get("off_session") == "true"
        if params.get("confirm") != "true":
            raise invalid("parameter_missing", param="confirm")  # Stripe would only make it: nothing here does that.
        if "return_url" not in params and not off_session:
            raise invalid("parameter_missing", param="return_url")
        _check_url(params.get("return_url"))
        if kind == "customer_balance":
            _check_transfer(params)
        intent = self.add(books, params, method)
        books.return_urls[intent["id"]] = params.get("return_url", "")
        self.moves.begin(books, intent, kind, off_session=off_session)
        return shown(books, intent, params.get("expand", []))

    def add(self, books: Books, params: dict[str, Any], method: str | None) -> Document:
        """A new intent, not confirmed yet."""
        intent = fresh(
            "pi", "payment_intent", amount=int(params["amount"]), amount_received=0, currency=params["currency"],
            status="requires_confirmation" if method else "requires_payment_method", latest_charge=None,
            metadata=dict(params.get("metadata", {})), customer=params.get("customer"), payment_method=method,
            next_action=None, last_payment_error=None, setup_future_usage=params.get("setup_future_usage"),
            capture_method=params.get("capture_method", "automatic_async"), cancellation_reason=None,
            client_secret="pi_secret_of_its_own",
        )  # fmt: skip
        books.intents[intent["id"]] = intent
        books.indexed_at[intent["id"]] = time.monotonic() + self.index_lag_s
        return intent

    def retrieve(self, books: Books, name: str, params: dict[str, Any]) -> Document:
        """GET /v1/payment_intents/:id."""
        return shown(books, books.find("intents", name, param="intent"), params.get("expand", []))

    def search(self, books: Books, params: dict[str, Any]) -> Document:
        """GET /v1/payment_intents/search: one field of the metadata, exactly."""
        asked = QUERY.fullmatch(params["query"])
        if asked is None:
            raise invalid("parameter_invalid_string", param="query")
        value = re.sub(r"\\(.)", r"\1", asked["value"])
        found = [
            intent
            for intent in reversed(books.intents.values())
            if intent["metadata"].get(asked["field"]) == value and books.indexed_at[intent["id"]] <= time.monotonic()
        ]
        return {"object": "search_result", "data": found[: _limit(params)], "has_more": False, "url": "/v1/search"}

    def list_all(self, books: Books, params: dict[str, Any]) -> Document:
        """GET /v1/payment_intents: the newest first."""
        since = int(params.get("created", {}).get("gte", 0))
        rows = [intent for intent in reversed(books.intents.values()) if intent["created"] >= since]
        if "starting_after" in params:
            names = [intent["id"] for intent in rows]
            rows = rows[names.index(params["starting_after"]) + 1 :]
        size = _limit(params)
        expand = [path.removeprefix("data.") for path in params.get("expand", [])]
        data = [shown(books, intent, expand) for intent in rows[:size]]
        return {"object": "list", "data": data, "has_more": len(rows) > size, "url": "/v1/payment_intents"}

    def cancel(self, books: Books, name: str, params: dict[str, Any]) -> Document:
        """POST /v1/payment_intents/:id/cancel."""
        intent = books.find("intents", name, param="intent")
        on_page = any(session["payment_intent"] == name for session in books.sessions.values())
        if on_page or intent["status"] not in CANCELABLE:
            raise invalid("payment_intent_unexpected_state", payment_intent=dict(intent))
        self.moves.cancel(books, intent)
        return intent

    def refund(self, books: Books, params: dict[str, Any]) -> Document:
        """POST /v1/refunds."""
        intent = books.find("intents", params["payment_intent"], param="payment_intent")
        if intent["status"] != "succeeded":
            raise invalid("payment_intent_unexpected_state", param="payment_intent")
        charge = books.charges[intent["latest_charge"]]
        amount, left = int(params["amount"]), charge["amount"] - charge["amount_refunded"]
        if left == 0:
            raise invalid("charge_already_refunded")
        if not 0 < amount <= left:
            raise invalid(None, param="amount")
        charge["amount_refunded"] += amount
        charge["refunded"] = charge["amount_refunded"] == charge["amount"]
        refund = fresh(
            "re", "refund", amount=amount, currency=charge["currency"], charge=charge["id"], status="succeeded",
            payment_intent=intent["id"], metadata=dict(params.get("metadata", {})),
        )  # fmt: skip
        books.refunds[refund["id"]] = refund
        self.moves.tell(books, "charge.refunded", charge)
        return refund

    def fail(self, books: Books, refund: Document, status: str = "failed") -> None:
        """Its bank sends a refund back, or it is called off: the charge holds that money again."""
        charge = books.charges[refund["charge"]]
        refund["status"] = status
        charge["amount_refunded"] -= refund["amount"]
        charge["refunded"] = False
        for kind in ("refund.updated", *(["refund.failed"] if status == "failed" else []), "charge.refund.updated"):
            self.moves.tell(books, kind, refund)

    def _method(self, books: Books, params: dict[str, Any]) -> tuple[str, str]:
        """The method to confirm with, made where only its kind is given, and its kind."""
        if "payment_method_data" in params:
            kind = params["payment_method_data"]["type"]
            if kind == "sepa_debit":
                raise invalid("parameter_missing", param="payment_method_data[sepa_debit]")
            if kind == "klarna":
                raise invalid("parameter_missing", param="payment_method_data[billing_details][address][country]")
            method = fresh("pm", "payment_method", type=kind, customer=None, card=None)
            books.methods[method["id"]] = method
            return method["id"], kind
        if "payment_method" not in params:
            raise invalid("parameter_missing", param="payment_method")
        method = books.find("methods", params["payment_method"], param="payment_method")
        customer = params.get("customer")
        if customer is not None:
            books.find("customers", customer, param="customer")
        if method["id"] in books.used_up or method["customer"] not in (None, customer):
            raise invalid("resource_missing", param="payment_method")
        return method["id"], method["type"]


SCHEMES: Final = {"eur": "eu", "gbp": "gb", "jpy": "jp", "mxn": "mx", "usd": "us"}


def _check_transfer(params: dict[str, Any]) -> None:
    options = params.get("payment_method_options", {}).get("customer_balance", {})
    transfer = options.get("bank_transfer", {})
    fits = transfer.get("type") == f"{SCHEMES.get(params['currency'])}_bank_transfer"
    if "customer" not in params or options.get("funding_type") != "bank_transfer" or not fits:
        raise invalid("parameter_missing", param="payment_method_options[customer_balance]")
    if params["currency"] == "eur" and "eu_bank_transfer" not in transfer:
        raise invalid("parameter_missing", param="payment_method_options[customer_balance][bank_transfer]")


def _limit(params: dict[str, Any]) -> int:
    limit = int(params.get("limit", 10))
    if not 0 < limit <= MOST_LISTED:
        raise invalid("parameter_invalid_integer", param="limit")
    return limit


def _check_url(url: str | None) -> None:
    if url is not None and not re.match(r"https?://", url):
        raise invalid("url_invalid", param="return_url")
