"""Everything a storefront may ask for, each a conversation of its own (contract sections 2 to 5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.client.answers import CheckoutResult, Method, Offer
from shared.client.asks import Order, Payment, encoded, key_of, new_key, order_document, payment_document
from shared.client.errors import NotUnderstood, Refused
from shared.client.reading import method_of, methods_of, offer_of, result_of
from shared.client.retries import Terms, answered
from shared.client.turns import Call, Content, Talk
from shared.client.waiting import poll

JSON = {"Content-Type": "application/json"}
METHODS = "/c2a/customer/payment/methods"


def resolved(customer_urn: str | None, context: Mapping[str, Any], terms: Terms, *, kind: str) -> Talk[Offer]:
    """An offer; asked for twice it is two offers, of which one is forgotten."""
    asked = dict(context) if customer_urn is None else {"customerUrn": customer_urn, **context}
    call = Call("POST", f"/c2a/offer/{kind}", headers=JSON, content=encoded({"context": asked}))
    return offer_of((yield from answered(call, terms)))


def submitted(order: Order, payment: Payment, terms: Terms) -> Talk[CheckoutResult]:
    """An order under its own correlationId."""
    return (yield from _submitted(encoded(order_document(order, payment)), order.correlation_id, {}, terms))


def document_submitted(document: Mapping[str, Any], key: str | None, terms: Terms) -> Talk[CheckoutResult]:
    """An order whose body was built elsewhere; under a key in any case: its own, the given, or a new one.

    The body is encoded at once, not when the conversation begins: no frame of ours is left that could show it.
    """
    inside = key_of(document)
    used = inside or key or new_key()
    headers = {} if used == inside else {"Idempotency-Key": used}
    return _submitted(encoded(document), used, headers, terms)


def _submitted(content: Content, key: str, headers: Mapping[str, str], terms: Terms) -> Talk[CheckoutResult]:
    call = Call("POST", "/c2a/offer/checkout", headers={**JSON, **headers}, content=content)
    return result_of((yield from answered(call, terms, key=key)), is_of_submit=True)


def status(tracking_number: str, terms: Terms) -> Talk[CheckoutResult]:
    """Where an order stands now."""
    return result_of((yield from answered(poll(tracking_number), terms)))


def listed(customer_urn: str, terms: Terms) -> Talk[list[Method]]:
    """The stored methods of a customer."""
    call = Call("GET", f"{METHODS}/list", params={"c": customer_urn})
    return methods_of((yield from answered(call, terms)))


def added(customer_urn: str, payment: Payment, terms: Terms) -> Talk[Method]:
    """A card, stored. The API has no key for it, so a lost answer is the caller's to look into."""
    body = {"customerUrn": customer_urn, "paymentMethod": payment_document(payment)}
    call = Call("POST", f"{METHODS}/add", headers=JSON, content=encoded(body), repeatable=False)
    return method_of((yield from answered(call, terms)))


def deleted(method_urn: str, terms: Terms) -> Talk[None]:
    """A stored method, gone; one that is not found after a lost answer went with that."""
    try:
        heard = yield from answered(Call("DELETE", f"{METHODS}/delete", params={"p": method_urn}), terms)
    except Refused as refused:
        if not (refused.after_lost and refused.code == "PAYMENT_METHOD_NOT_FOUND"):
            raise
        return
    if heard.code != "SUCCESS":
        raise NotUnderstood("deletion", heard.status)
