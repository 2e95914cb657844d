"""What we ask of Adyen, in the fields of its Checkout API v72.

captureDelayHours 0 asks for the money together with the authorisation, whatever the account's setting: so "Authorised"
is a capture. 3-D Secure goes by redirect, which needs no script of Adyen's in the storefront. The checkout brings no
IBAN, and a direct debit needs one: its shopper is sent to a page of Adyen's (a payment link) that asks for it.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Final

from shared.domain.cards import Card
from shared.psp.port import Account, Channel, ChargeRequest

REFERENCE_LENGTH: Final = 80
"""The longest reference Adyen takes."""
KEY_NAME: Final = "pspKey"
"""Our key's name in a payment's metadata: shown to people, and a hint in notifications, where nothing signs it."""
CARD_CHECK: Final = 0
"""The amount of a payment that only stores its card."""

_TYPES: Final = {
    Channel.CREDIT_CARD: "scheme",
    Channel.PAYPAL: "paypal",
    Channel.KLARNA: "klarna",
    Channel.SEPA: "sepadirectdebit",
    Channel.BANK: "bankTransfer_IBAN",
}


def reference_of(merchant_reference: str, psp_key: str) -> str:
    """What Adyen is told the order is called: by our key where its own name is too long."""
    return merchant_reference if len(merchant_reference) <= REFERENCE_LENGTH else psp_key


def token_of(stored_id: str, shopper: str) -> str:
    """A stored method as the rest of us knows it: Adyen finds it only together with its shopper."""
    return f"{stored_id}@{shopper}"


def needs_link(request: ChargeRequest) -> bool:
    """Whether the shopper must be sent to a page that asks for an IBAN."""
    return request.channel is Channel.SEPA and request.token is None


def payment(account: Account, request: ChargeRequest, amount: dict[str, Any]) -> dict[str, Any]:
    """The body of POST /payments."""
    stored_id, _, owner = (request.token or "").partition("@")
    body = _common(account, request, amount) | {
        "paymentMethod": _method(request, stored_id),
        "shopperReference": owner or request.customer_urn,
        "shopperInteraction": "ContAuth" if request.token else "Ecommerce",
        "channel": "Web",
    }
    if request.token or request.keep_method:
        body["recurringProcessingModel"] = "CardOnFile"
    if request.keep_method:
        body["storePaymentMethod"] = True
    if request.ip_address:
        body["shopperIP"] = request.ip_address
    return body | (_invoice(amount) if request.channel is Channel.KLARNA else {})


def link(account: Account, request: ChargeRequest, amount: dict[str, Any]) -> dict[str, Any]:
    """The body of POST /paymentLinks for a direct debit."""
    body = _common(account, request, amount) | {
        "shopperReference": request.customer_urn,
        "allowedPaymentMethods": [_TYPES[request.channel]],
    }
    if request.keep_method:
        body |= {"storePaymentMethodMode": "enabled", "recurringProcessingModel": "CardOnFile"}
    return body


def card_check(account: Account, card: Card, *, customer_urn: str, psp_key: str) -> dict[str, Any]:
    """The body of POST /payments that stores a card and takes nothing (docs.adyen.com, Zero-value authorisation)."""
    currencies = sorted(account.terms.currencies or {"EUR"})
    return {
        "merchantAccount": account.credentials["merchantAccount"],
        "amount": {"currency": currencies[0], "value": CARD_CHECK},
        "reference": psp_key,
        "paymentMethod": _card(card),
        "shopperReference": customer_urn,
        "shopperInteraction": "Ecommerce",
        "recurringProcessingModel": "CardOnFile",
        "storePaymentMethod": True,
        "returnUrl": account.base_url,  # Required. Nobody is sent there: a card that wants a challenge is not stored.
    }


def details(redirect_result: str) -> dict[str, Any]:
    """The body of POST /payments/details: what the shopper's browser brought back."""
    return {"details": {"redirectResult": redirect_result}}


def details_key(psp_key: str, redirect_result: str) -> str:
    """The key of that request: the same for the same result, and for no other."""
    return f"{psp_key}-{sha256(redirect_result.encode()).hexdigest()[:16]}"


def reversal(account: Account, psp_key: str) -> dict[str, Any]:
    """The body of POST /payments/{reference}/reversals."""
    return {"merchantAccount": account.credentials["merchantAccount"], "reference": psp_key[:REFERENCE_LENGTH]}


def refund(account: Account, psp_key: str, amount: dict[str, Any]) -> dict[str, Any]:
    """The body of POST /payments/{reference}/refunds."""
    return reversal(account, psp_key) | {"amount": amount}


def _common(account: Account, request: ChargeRequest, amount: dict[str, Any]) -> dict[str, Any]:
    body = {
        "merchantAccount": account.credentials["merchantAccount"],
        "amount": amount,
        "reference": reference_of(request.merchant_reference, request.psp_key),
        "returnUrl": request.return_url,
        "captureDelayHours": 0,
        "metadata": {KEY_NAME: request.psp_key},
    }
    country = account.credentials.get("countryCode")
    return body | ({"countryCode": country} if country else {})


def _method(request: ChargeRequest, stored_id: str) -> dict[str, Any]:
    if stored_id:
        return {"type": _TYPES[request.channel], "storedPaymentMethodId": stored_id}
    return _card(request.card) if request.card else {"type": _TYPES[request.channel]}


def _card(card: Card) -> dict[str, str]:
    return {
        "type": "scheme",
        "number": card.number,
        "expiryMonth": card.expire_month,
        "expiryYear": card.expire_year,
        "cvc": card.cvc,
        "holderName": card.holder_name,
    }


def _invoice(amount: dict[str, Any]) -> dict[str, Any]:
    """One line for the whole order: Klarna wants lines, and what is in the cart is not ours to tell here."""
    line = {"id": "1", "description": "Order", "quantity": 1, "amountIncludingTax": amount["value"]}
    return {"lineItems": [line]}
