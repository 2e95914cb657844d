"""What a request to the sandbox must look like, and what is taken from it.

Unknown fields are ignored; a field that fails is named by its path, never by its value.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from shared.domain.cards import brand_of, mask

REDIRECTED = frozenset({"PayPal", "Klarna", "Bank"})
"""Channels whose shopper goes through our page, unless a kept method is charged."""


def _web_address(url: str) -> str:
    if urlsplit(url).scheme not in ("http", "https"):
        raise ValueError("must be http or https")
    return url


WebAddress = Annotated[str, Field(max_length=2_048), AfterValidator(_web_address)]


class BadAsk(ValueError):
    """A request that does not fit; the message names the fields."""


class _Ask(BaseModel):
    model_config = ConfigDict(
        strict=True, alias_generator=to_camel, validate_by_name=True, hide_input_in_errors=True, frozen=True
    )


class AskedCard(_Ask):
    """A typed card."""

    number: str = Field(pattern=r"^[0-9]{12,19}$", repr=False)
    expire_year: str = Field(pattern=r"^[0-9]{4}$")
    expire_month: str = Field(pattern=r"^(0[1-9]|1[0-2])$")
    cvc: str = Field(pattern=r"^[0-9]{3,4}$", repr=False)
    holder_name: str = Field(default="", max_length=255)

    def masked(self) -> dict[str, str]:
        """What may be kept of it."""
        return {
            "masked_number": mask(self.number),
            "card_type": brand_of(self.number).value,
            "expire_year": self.expire_year,
            "expire_month": self.expire_month,
        }


class AskedCharge(_Ask):
    """POST /v1/charges."""

    merchant_reference: str = Field(min_length=1, max_length=255)
    amount_minor: int = Field(gt=0, le=10**12)
    currency: str = Field(pattern=r"^[A-Z]{3}$")
    channel: Literal["CreditCard", "PayPal", "Klarna", "SEPA", "Bank"]
    customer: dict[str, Any] = Field(default_factory=dict)
    return_url: WebAddress | None = None
    card: AskedCard | None = None
    token: str | None = Field(default=None, max_length=255)
    keep_method: bool = False

    @model_validator(mode="after")
    def _one_method(self) -> AskedCharge:
        is_credit = self.channel == "CreditCard"
        if (self.card is None) == (self.token is None) if is_credit else self.card is not None:
            raise ValueError("a CreditCard charge needs card or token, any other channel takes no card")
        if self.channel in REDIRECTED and not self.token and self.return_url is None:
            raise ValueError("this channel needs returnUrl")
        return self

    def comparable(self) -> dict[str, Any]:
        """What a repeat must have in common with the first request; of a card, its mask."""
        document = self.model_dump(mode="json", exclude={"card"})
        return document | {"card": self.card and self.card.masked()}


class AskedToken(_Ask):
    """POST /v1/tokens."""

    card: AskedCard
    customer: dict[str, Any] = Field(default_factory=dict)


class AskedRefund(_Ask):
    """POST /v1/charges/{ref}/refund."""

    amount_minor: int = Field(gt=0, le=10**12)


class AskedAccount(_Ask):
    """POST /accounts."""

    account_id: str = Field(min_length=1, max_length=255)
    api_key: str = Field(min_length=8, max_length=255, repr=False)
    webhook_url: WebAddress | None = None
    webhook_secret: str = Field(min_length=8, max_length=255, repr=False)
    merchant_name: str = Field(default="Sandbox shop", max_length=255)


A = TypeVar("A", bound=_Ask)


def read(model: type[A], body: bytes) -> A:
    """The request in *body*; raises BadAsk."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        faults = (f"{'.'.join(str(step) for step in e['loc']) or 'body'}: {e['msg']}" for e in error.errors())
        raise BadAsk("; ".join(faults)) from None
