"""What we ask of Stripe for a charge: one PaymentIntent, confirmed at once, or a page of Stripe's where it must be.

CreditCard: a PaymentMethod of the card, then a PaymentIntent; 3DS by redirect.
PayPal: a PaymentIntent; the shopper is redirected.
Klarna, SEPA, and PayPal that is to be kept: Checkout. Stripe must know the shopper's country and e-mail address, or
account number, or consent to later charges; the published API has no field for them, and Stripe's page asks.
Bank: a PaymentIntent paid from the customer's cash balance (`customer_balance`); a page tells where to transfer to.
A kept method: a PaymentIntent. The shopper is there, so a card's bank may challenge; PayPal and SEPA are charged off
session, by the consent that was given when they were kept, as only that goes without a page.

Captured at once (`automatic`): Stripe's default would call a charge a success before it is captured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from shared.domain.cards import Card
from shared.psp.port import Channel, ChargeRequest
from shared.psp.stripe_answers import CHANNEL, CHECKOUT, KEEPS, MERCHANT_REFERENCE, PAGE, PSP_KEY, YES

if TYPE_CHECKING:  # Types alone, and several megabytes of them.
    from stripe.params import PaymentIntentCreateParams, PaymentMethodCreateParams
    from stripe.params.checkout import SessionCreateParams

TYPE_OF: Final = {
    Channel.CREDIT_CARD: "card",
    Channel.PAYPAL: "paypal",
    Channel.KLARNA: "klarna",
    Channel.SEPA: "sepa_debit",
    Channel.BANK: "customer_balance",
}
KEPT: Final = frozenset({Channel.CREDIT_CARD, Channel.PAYPAL, Channel.SEPA})
"""A bank transfer leaves nothing to keep, and Klarna lets only some accounts charge again."""
TRANSFER_OF: Final = {
    "EUR": "eu_bank_transfer",
    "GBP": "gb_bank_transfer",
    "JPY": "jp_bank_transfer",
    "MXN": "mx_bank_transfer",
    "USD": "us_bank_transfer",
}
JOINT: Final = "/"
"""Between the customer and the method in a token; no id of Stripe's holds it."""
VERSION_WITH_INTENT: Final = "2020-08-27"
"""The last API version in which a Checkout Session has its PaymentIntent from the start (changelog of 2022-08-01). We
need it then: a charge has one reference, and there is no other to look up by, void by and be told about by."""


def keeps(request: ChargeRequest) -> bool:
    """Whether the method is to be kept, and can be."""
    return request.keep_method and request.token is None and request.channel in KEPT


def is_on_page(request: ChargeRequest) -> bool:
    """Whether the shopper must be asked on Stripe's own page."""
    if request.token is not None:
        return False
    return request.channel in (Channel.KLARNA, Channel.SEPA) or (request.channel is Channel.PAYPAL and keeps(request))


def needs_customer(request: ChargeRequest) -> bool:
    """Whether it is made for a Customer of Stripe's: one whose method is kept, or whose cash balance pays."""
    return keeps(request) or (request.channel is Channel.BANK and request.token is None)


def split(token: str) -> tuple[str, str]:
    """The customer and the method a token of ours stands for."""
    customer, _, method = token.rpartition(JOINT)
    return customer, method


def method_of(card: Card) -> PaymentMethodCreateParams:
    """The PaymentMethod of *card*, all but the card itself (stripe_wire.py adds it)."""
    return {"type": "card", "billing_details": {"name": card.holder_name}}


def intent(
    request: ChargeRequest, amount: int, *, method: str | None, customer: str | None, transfer_to: str
) -> PaymentIntentCreateParams:
    """The PaymentIntent of *request*. *method*: the card's PaymentMethod. *transfer_to*: the country of the account
    that takes euros."""
    params: PaymentIntentCreateParams = {
        "amount": amount,
        "currency": request.money.currency.lower(),
        "confirm": True,
        "capture_method": "automatic",
        "allowed_payment_method_types": [TYPE_OF[request.channel]],
        "metadata": _metadata(request),
        "return_url": request.return_url,
        "expand": ["latest_charge", "payment_method"],
    }
    if request.token is not None:
        params["customer"], params["payment_method"] = split(request.token)
        if request.channel is not Channel.CREDIT_CARD:
            params["off_session"] = True
            del params["return_url"]
        return params
    if customer is not None:
        params["customer"] = customer
    if method is not None:
        params["payment_method"] = method
    else:
        params["payment_method_data"] = {"type": TYPE_OF[request.channel]}
    if keeps(request):
        params["setup_future_usage"] = "on_session"  # Whoever orders with a stored card is there.
    if request.channel is Channel.BANK:
        _ask_for_transfer(params, request.money.currency, transfer_to)
    return params


def session(request: ChargeRequest, amount: int, *, customer: str | None) -> SessionCreateParams:
    """The Checkout Session of *request*, in the words of VERSION_WITH_INTENT, which are not the library's. It ends with
    our void, or after a day: an end of its own would differ in a repeat under the same key."""
    metadata = _metadata(request) | {PAGE: CHECKOUT}
    price = {
        "currency": request.money.currency.lower(),
        "unit_amount": amount,
        "product_data": {"name": f"Order {request.merchant_reference}"},
    }
    charge: dict[str, Any] = {"metadata": metadata, "capture_method": "automatic"}
    params: dict[str, Any] = {
        "mode": "payment",
        "payment_method_types": [TYPE_OF[request.channel]],
        "line_items": [{"quantity": 1, "price_data": price}],
        "success_url": request.return_url,
        "cancel_url": request.return_url,
        "metadata": metadata,
        "payment_intent_data": charge,
    }
    if customer is not None:
        params["customer"] = customer
    if keeps(request):
        charge["setup_future_usage"] = "off_session"  # The one kind PayPal and SEPA know.
    return cast("SessionCreateParams", params)


def _ask_for_transfer(params: PaymentIntentCreateParams, currency: str, transfer_to: str) -> None:
    kind = TRANSFER_OF.get(currency)
    if kind is None:
        return  # Stripe refuses it, in its own words.
    account: dict[str, Any] = {"type": kind}
    if currency == "EUR":
        account["eu_bank_transfer"] = {"country": transfer_to}
    options: Any = {"customer_balance": {"funding_type": "bank_transfer", "bank_transfer": account}}
    params["payment_method_options"] = options


def _metadata(request: ChargeRequest) -> dict[str, str]:
    metadata = {
        PSP_KEY: request.psp_key,
        MERCHANT_REFERENCE: request.merchant_reference,
        CHANNEL: request.channel.value,
    }
    return metadata | ({KEEPS: YES} if keeps(request) else {})
