"""Customers and PaymentMethods: made, attached (the issuer is asked), read, detached for good."""

from __future__ import annotations

from typing import Any

from tests.support.stripe_fake.books import Books, fresh
from tests.support.stripe_fake.cards import of
from tests.support.stripe_fake.errors import Document, Refused, invalid


def create_customer(books: Books, params: dict[str, Any]) -> Document:
    """POST /v1/customers."""
    customer = fresh("cus", "customer", metadata=dict(params.get("metadata", {})))
    books.customers[customer["id"]] = customer
    return customer


def create(books: Books, params: dict[str, Any]) -> Document:
    """POST /v1/payment_methods, of a card."""
    if params["type"] != "card":
        raise invalid("parameter_invalid_string", param="type")
    card = params.get("card", {})
    if not {"number", "exp_month", "exp_year"} <= card.keys():
        raise invalid("parameter_missing", param="card")
    number, kind = card["number"], of(card["number"])
    if not number.isdecimal() or not 12 <= len(number) <= 19:
        raise Refused(402, "card_error", "invalid_number", param="number")
    seen = {
        "brand": kind.brand,
        "last4": number[-4:],
        "exp_month": int(card["exp_month"]),
        "exp_year": int(card["exp_year"]),
    }
    details = dict(params.get("billing_details", {}))
    method = fresh("pm", "payment_method", type="card", card=seen, billing_details=details, customer=None)
    books.methods[method["id"]] = method
    books.cards[method["id"]] = kind
    return method


def attach(books: Books, name: str, params: dict[str, Any]) -> Document:
    """POST /v1/payment_methods/:id/attach."""
    method = books.find("methods", name, param="id")
    books.find("customers", params["customer"], param="customer")
    card = books.cards.get(name)
    if card is not None and card.refusal is not None and not card.keepable:
        raise Refused(402, "card_error", card.refusal.code, decline_code=card.refusal.decline_code)
    if name in books.used_up:
        raise invalid("payment_method_unexpected_state")
    method["customer"] = params["customer"]
    return method


def retrieve(books: Books, name: str, params: dict[str, Any]) -> Document:
    """GET /v1/payment_methods/:id."""
    return books.find("methods", name, param="id")


def detach(books: Books, name: str, params: dict[str, Any]) -> Document:
    """POST /v1/payment_methods/:id/detach."""
    method = books.find("methods", name, param="id")
    if method["customer"] is None:
        raise invalid(None, message="not attached to a customer, so detachment is impossible")
    method["customer"] = None
    books.used_up.add(name)
    return method
