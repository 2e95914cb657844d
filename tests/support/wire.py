"""The documents a storefront sends, as contract section 2 spells them; every value can be replaced by name.

The aliases are written down here a second time, from the contract: a test that asked the product for its names
could not find one of them wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

Document = dict[str, Any]

GOOD_CARD: Final = "4111111111111111"
"""deploy/sandbox/README.md: captured at once."""

_LEAVES: Final[Mapping[str, Mapping[str, str]]] = {
    "request": {"order": "ORD", "paymentMethod": "PMT"},
    "order": {"offerIdentifier": "OID", "correlationId": "CLD", "items": "ITM", "customer": "CUST"},
    "items": {"itemIdentifier": "ITM", "parentItemIdentifier": "PURN", "quantity": "QTY"},
    "paymentMethod": {
        "paymentChannel": "TP",
        "providerIdentifier": "PI",
        "useStoredMethod": "UM",
        "creditCard": "CC",
        "storeMethodSuccessPayment": "SM",
    },
    "creditCard": {
        "cardHolderName": "CHN",
        "cardNumber": "CN",
        "expireYear": "EY",
        "expireMonth": "EM",
        "cvc": "CVC",
        "cardAlias": "CA",
        "useStoredMethod": "USM",
        "storedMethodUrn": "SMU",
        "storedMethodToken": "SMT",
    },
}
"""Contract section 2: object -> field -> alias."""


def a_card(number: str = GOOD_CARD, **replaced: Any) -> Document:
    """A typed card, the published one unless *number* says otherwise."""
    values: Document = {
        "cardHolderName": "Jane Doe",
        "cardNumber": number,
        "expireYear": "2029",
        "expireMonth": "12",
        "cvc": "123",
    }
    return values | replaced


def fresh_card(number: str = GOOD_CARD, **replaced: Any) -> Document:
    """A paymentMethod that pays with a typed card."""
    return {"paymentChannel": "CreditCard", "creditCard": a_card(number)} | replaced


def stored_card(method_urn: str, **replaced: Any) -> Document:
    """A paymentMethod that pays with a stored card."""
    card = {"useStoredMethod": True, "storedMethodUrn": method_urn}
    return {"paymentChannel": "CreditCard", "useStoredMethod": True, "creditCard": card} | replaced


def channel(name: str, **replaced: Any) -> Document:
    """A paymentMethod of another channel than CreditCard."""
    return {"paymentChannel": name} | replaced


def an_item(item: str = "it.00.42", *, parent: str | None = None, quantity: int = 1) -> Document:
    """A line of the cart."""
    line: Document = {"itemIdentifier": item, "quantity": quantity}
    return line if parent is None else line | {"parentItemIdentifier": parent}


def an_order(offer: str, customer: str, *items: Document, **replaced: Any) -> Document:
    """An order of *items* (one published bundle where none is named) for *customer*."""
    lines = list(items) or [an_item()]
    return {"offerIdentifier": offer, "items": lines, "customer": {"customerUrn": customer}} | replaced


def a_request(order: Document, payment: Document) -> Document:
    """The body of POST /c2a/offer/checkout."""
    return {"order": order, "paymentMethod": payment}


def in_aliases(document: Document) -> Document:
    """*document*, a whole request, with every field that has an alias under it."""
    renamed: Document = _renamed("request", document)
    return renamed


def in_mixed_names(document: Document) -> Document:
    """*document* with every second of its fields, at every level, under its alias."""
    renamed: Document = _renamed("request", document, every=2)
    return renamed


def _renamed(kind: str, value: Any, every: int = 1) -> Any:
    if isinstance(value, list):
        return [_renamed(kind, part, every) for part in value]
    if not isinstance(value, dict):
        return value
    aliases = _LEAVES.get(kind, {})
    return {
        aliases.get(name, name) if index % every == 0 else name: _renamed(name, part, every)
        for index, (name, part) in enumerate(value.items())
    }
