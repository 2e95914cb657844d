"""Checkout Sessions: Stripe's own page. In versions of the API before 2022-08-01 one has its intent from the start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from tests.support.stripe_fake.books import Books, fresh
from tests.support.stripe_fake.errors import Document, invalid
from tests.support.stripe_fake.intents import Intents
from tests.support.stripe_fake.moves import Moves

INTENT_LATER: Final = "2022-08-01"


@dataclass(frozen=True, slots=True)
class Sessions:
    """The calls under /v1/checkout/sessions."""

    moves: Moves
    intents: Intents

    def create(self, books: Books, params: dict[str, Any], version: str) -> Document:
        """POST /v1/checkout/sessions."""
        if "customer" in params:
            books.find("customers", params["customer"], param="customer")
        (item,) = params["line_items"]
        price = item["price_data"]
        amount = int(price["unit_amount"]) * int(item["quantity"])
        made = {**params["payment_intent_data"], "amount": amount, "currency": price["currency"]}
        intent = None
        if version < INTENT_LATER:
            intent = self.intents.add(books, made | {"customer": params.get("customer")}, None)
        session = fresh(
            "cs", "checkout.session", status="open", amount_total=amount, currency=price["currency"],
            payment_intent=intent["id"] if intent else None, metadata=dict(params.get("metadata", {})),
            success_url=params["success_url"], cancel_url=params["cancel_url"],
            payment_method_types=params["payment_method_types"],
        )  # fmt: skip
        session["url"] = f"{self.moves.base_url()}/checkout/{session['id']}"
        books.sessions[session["id"]] = session
        return session

    def list_all(self, books: Books, params: dict[str, Any]) -> Document:
        """GET /v1/checkout/sessions."""
        rows = [one for one in books.sessions.values() if one["payment_intent"] == params.get("payment_intent")]
        return {"object": "list", "data": rows, "has_more": False, "url": "/v1/checkout/sessions"}

    def expire(self, books: Books, name: str, params: dict[str, Any]) -> Document:
        """POST /v1/checkout/sessions/:id/expire."""
        session = books.find("sessions", name, param="id")
        if session["status"] != "open":
            raise invalid(None, message="Only Checkout Sessions with a status in [open] can be expired")
        session.update(status="expired", url=None)
        self.moves.cancel(books, books.intents[session["payment_intent"]])
        return session

    def decide(self, books: Books, session: Document, decision: str) -> str:
        """What the shopper does on the page; where the browser goes then."""
        intent = books.intents[session["payment_intent"]]
        if session["status"] != "open" or decision == "cancel":
            return str(session["cancel_url"])
        (kind,) = session["payment_method_types"]
        if decision == "decline":  # The other side said no: the page shows it and offers another try.
            error = {"type": "invalid_request_error", "code": "payment_method_customer_decline"}
            intent.update(last_payment_error=error)
            self.moves.tell(books, "payment_intent.payment_failed", intent)
            return str(session["url"])
        method = fresh("pm", "payment_method", type=kind, customer=None, card=None)
        books.methods[method["id"]] = method
        session.update(status="complete", url=None)
        intent.update(payment_method=method["id"])
        if kind == "sepa_debit":
            self.moves.wait(books, intent)
        else:
            self.moves.take(books, intent)
        return str(session["success_url"])

    def fail_later(self, books: Books, session: Document, code: str) -> None:
        """A debit that was on its way comes back."""
        intent = books.intents[session["payment_intent"]]
        intent.update(status="requires_payment_method", last_payment_error={"type": "api_error", "code": code})
        self.moves.tell(books, "payment_intent.payment_failed", intent)
        self.moves.tell(books, "checkout.session.async_payment_failed", session)
