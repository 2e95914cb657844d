"""A storefront's way to the API, in Python: offer, submit, wait, stored methods, webhooks."""

from shared.client.answers import CheckoutResult, Method, Offer
from shared.client.asks import Line, Order, Payment
from shared.client.async_checkout import AsyncCheckout
from shared.client.checkout import Checkout
from shared.client.errors import (
    CheckoutError,
    KeyAtFault,
    KeyReused,
    NoAnswer,
    NotGenuine,
    NotUnderstood,
    OfferAtFault,
    OrderUnknown,
    PaymentAtFault,
    Refused,
    RequestAtFault,
    StillRunning,
)
from shared.client.retries import Terms
from shared.client.webhooks import TenantEvent, verify
from shared.domain.cards import Card
from shared.domain.states import CheckoutCode
from shared.psp.port import Channel

__all__ = [
    "AsyncCheckout",
    "Card",
    "Channel",
    "Checkout",
    "CheckoutCode",
    "CheckoutError",
    "CheckoutResult",
    "KeyAtFault",
    "KeyReused",
    "Line",
    "Method",
    "NoAnswer",
    "NotGenuine",
    "NotUnderstood",
    "Offer",
    "OfferAtFault",
    "Order",
    "OrderUnknown",
    "Payment",
    "PaymentAtFault",
    "Refused",
    "RequestAtFault",
    "StillRunning",
    "TenantEvent",
    "Terms",
    "verify",
]
