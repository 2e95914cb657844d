"""What a storefront asks for, as values, and how they are spelled on the wire (contract sections 2, 4 and 5).

An Order brings its key along from the moment it is made: however often that order is submitted, and by whichever
process, it is one order. Cards are shared.domain.cards.Card, which shows its mask alone.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.client.turns import Content
from shared.domain.cards import Card
from shared.psp.port import Channel


def new_key() -> str:
    """A key nobody used before: as good as an order number of the shop's own, and forgotten with the process."""
    return f"c2a-{uuid.uuid4().hex}"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a cart; an add-on names the bundle's item it belongs to."""

    item_identifier: str
    quantity: int = 1
    parent_item_identifier: str | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """What is ordered, out of which offer, by whom. *correlation_id*: better the shop's own number of the order."""

    offer_identifier: str
    customer_urn: str
    lines: Sequence[Line]
    correlation_id: str = field(default_factory=new_key)
    ip_address: str | None = None
    installment_identifier: str | None = None
    reseller_id: int | None = None


@dataclass(frozen=True, slots=True)
class Payment:
    """How it is paid: a card the shopper typed, a method stored earlier, or another channel. *keep*: store it."""

    card: Card | None = None
    stored_method_urn: str | None = None
    channel: Channel = Channel.CREDIT_CARD
    keep: bool = False
    provider_identifier: str | None = None


def order_document(order: Order, payment: Payment) -> dict[str, Any]:
    """The body of a submit. It may hold a card: for the wire alone."""
    customer = _without_none(customerUrn=order.customer_urn, ipAddress=order.ip_address)
    items = [
        _without_none(itemIdentifier=one.item_identifier, quantity=one.quantity)
        | _without_none(parentItemIdentifier=one.parent_item_identifier)
        for one in order.lines
    ]
    asked = _without_none(
        offerIdentifier=order.offer_identifier,
        correlationId=order.correlation_id,
        installmentIdentifier=order.installment_identifier,
        resellerID=order.reseller_id,
        items=items,
        customer=customer,
    )
    return {"order": asked, "paymentMethod": payment_document(payment)}


def payment_document(payment: Payment) -> dict[str, Any]:
    """The paymentMethod of a body. It may hold a card: for the wire alone."""
    stored = payment.stored_method_urn
    card = _card_document(payment.card) if payment.card is not None else None
    return _without_none(
        paymentChannel=payment.channel.value,
        providerIdentifier=payment.provider_identifier,
        storeMethodSuccessPayment="always" if payment.keep else None,
        useStoredMethod=True if stored else None,
        creditCard={"useStoredMethod": True, "storedMethodUrn": stored} if stored else card,
    )


def key_of(document: Mapping[str, Any]) -> str | None:
    """The correlationId of a submit's body, under either name (contract section 2)."""
    order = document.get("order", document.get("ORD"))
    found = order.get("correlationId", order.get("CLD")) if isinstance(order, Mapping) else None
    return found if isinstance(found, str) else None


def encoded(document: Mapping[str, Any]) -> Content:
    """*document* as it is sent."""
    return Content(json.dumps(document).encode())


def _card_document(card: Card) -> dict[str, Any]:
    return _without_none(
        cardHolderName=card.holder_name,
        cardNumber=card.number,
        expireYear=card.expire_year,
        expireMonth=card.expire_month,
        cvc=card.cvc,
        cardAlias=card.alias,
    )


def _without_none(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
