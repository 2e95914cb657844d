"""The requests as Checkout v72 publishes them, as far as our adapter could use them; every other field is refused."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Reference = Annotated[str, Field(min_length=1, max_length=80)]
Shopper = Annotated[str, Field(min_length=3, max_length=256)]
Country = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
Url = Annotated[str, Field(pattern=re.compile(r"^https?://", re.ASCII), max_length=8_000)]
Model = Literal["CardOnFile", "Subscription", "UnscheduledCardOnFile"]


class Ask(BaseModel):
    """A request body."""

    model_config = ConfigDict(strict=True, extra="forbid", alias_generator=to_camel, hide_input_in_errors=True)


class Amount(Ask):
    """In Adyen's minor units."""

    currency: str = Field(pattern=r"^[A-Z]{3}$")
    value: int = Field(ge=0)


class Method(Ask):
    """paymentMethod: a card, a stored method, or the name of one that needs no more."""

    type: Literal["scheme", "paypal", "klarna", "sepadirectdebit", "bankTransfer_IBAN"]
    number: str | None = Field(None, pattern=r"^\d{4,19}$", repr=False)
    expiry_month: str | None = None
    expiry_year: str | None = None
    cvc: str | None = Field(None, repr=False)
    holder_name: str | None = None
    stored_payment_method_id: str | None = None
    iban: str | None = None
    owner_name: str | None = None


class LineItem(Ask):
    """A line of an invoice."""

    id: str
    description: str
    quantity: int
    amount_including_tax: int


class Payment(Ask):
    """POST /payments."""

    merchant_account: str
    amount: Amount
    reference: Reference
    payment_method: Method
    return_url: Url
    capture_delay_hours: int | None = None
    channel: Literal["iOS", "Android", "Web"] | None = None
    country_code: Country | None = None
    line_items: list[LineItem] | None = None
    metadata: dict[Annotated[str, Field(max_length=20)], Annotated[str, Field(max_length=80)]] = Field(
        default_factory=dict, max_length=20
    )
    recurring_processing_model: Model | None = None
    shopper_interaction: Literal["Ecommerce", "ContAuth", "Moto", "POS"] | None = None
    shopper_ip: str | None = Field(None, alias="shopperIP")
    shopper_reference: Shopper | None = None
    store_payment_method: bool | None = None


class Link(Ask):
    """POST /paymentLinks."""

    merchant_account: str
    amount: Amount
    reference: Reference
    return_url: Url | None = None
    allowed_payment_methods: list[str] | None = None
    capture_delay_hours: int | None = None
    country_code: Country | None = None
    metadata: dict[str, str] = Field(default_factory=dict)
    recurring_processing_model: Model | None = None
    shopper_reference: Shopper | None = None
    store_payment_method_mode: Literal["askForConsent", "disabled", "enabled"] | None = None


class _Brought(Ask):
    redirect_result: str


class Details(Ask):
    """POST /payments/details, as far as a redirect goes."""

    details: _Brought


class Reversal(Ask):
    """POST /payments/{reference}/reversals."""

    merchant_account: str
    reference: Reference | None = None


class Refund(Reversal):
    """POST /payments/{reference}/refunds."""

    amount: Amount
