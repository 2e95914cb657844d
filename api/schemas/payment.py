"""What a caller may say about how to pay, and which cards we take into our hands at all.

The rules are contract section 2, and where it is silent:
- A PAN is ASCII digits alone; one with spaces or dashes is INVALID_CARD, because to repair it would be to guess.
- Card data beside a channel that is not CreditCard is refused: data nobody needs must not be held (PCI DSS 3.2.1).
  A stored method may be of any channel, so its reference is welcome beside each.
- A fresh card (neither flag set) that comes with a storedMethodUrn is a fresh card; the URN is not read.
- An empty cardNumber beside a stored method is no PAN.
- storedMethodToken is dropped before it becomes a value: a token is ours to know.
- Whether a card's month is over is not told by its form: of a call that was accepted before it makes no difference
  (api/card_expiry.py).
What a card field holds is a Secret from the first moment, so no dump, repr or error can show it.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from api.schemas.common import NAME_PATTERN, Identifier, Name, Secret, Wire, short
from shared.domain.cards import Card, passes_luhn
from shared.psp.port import Channel

_PAN: Final = re.compile(r"[0-9]{12,19}")
_CVC: Final = re.compile(r"[0-9]{3,4}")
_YEAR: Final = re.compile(r"[0-9]{4}")
_MONTH: Final = re.compile(r"0[1-9]|1[0-2]")
_NAME: Final = re.compile(NAME_PATTERN)
_FRESH: Final = {
    "cardHolderName": "card_holder_name",
    "cardNumber": "card_number",
    "expireYear": "expire_year",
    "expireMonth": "expire_month",
    "cvc": "cvc",
}
"""What a card that is typed needs: wire name, attribute."""


def _is_name(value: Secret) -> Secret:
    if not _NAME.fullmatch(value.get_secret_value()):
        raise PydanticCustomError("string_pattern_mismatch", "is not a name")
    return value


HolderName = Annotated[Secret, Field(max_length=255), AfterValidator(_is_name)]
Dropped = Annotated[None, BeforeValidator(lambda _: None), WithJsonSchema({"type": "string", "writeOnly": True})]
"""Accepted in any form, never kept."""


class CreditCardDto(Wire):
    """A card as the shopper typed it, or the name of one we keep."""

    card_holder_name: Annotated[HolderName | None, short("CHN")] = None
    card_number: Annotated[Secret | None, short("CN")] = None
    expire_year: Annotated[Secret | None, short("EY")] = None
    expire_month: Annotated[Secret | None, short("EM")] = None
    cvc: Annotated[Secret | None, short("CVC")] = None
    card_alias: Annotated[Name | None, short("CA")] = None
    use_stored_method: Annotated[bool, short("USM")] = False
    stored_method_urn: Annotated[Identifier | None, short("SMU")] = None
    stored_method_token: Annotated[Dropped, short("SMT")] = None

    def is_typed(self) -> bool:
        """Whether a PAN or a cvc is here."""
        return bool(_plain(self.card_number) or _plain(self.cvc))

    def typed(self) -> Card:
        """The card as a value of the domain; only after PaymentMethodDto found it whole."""
        return Card(
            holder_name=_plain(self.card_holder_name),
            number=_plain(self.card_number),
            expire_year=_plain(self.expire_year),
            expire_month=_plain(self.expire_month),
            cvc=_plain(self.cvc),
            alias=self.card_alias,
        )


class PaymentMethodDto(Wire):
    """How to pay."""

    payment_channel: Annotated[Channel, Field(strict=False), short("TP")]
    provider_identifier: Annotated[Identifier | None, short("PI")] = None
    use_stored_method: Annotated[bool, short("UM")] = False
    credit_card: Annotated[CreditCardDto | None, short("CC")] = None
    store_method_success_payment: Annotated[Literal["always", "never"], short("SM")] = "never"

    @property
    def is_stored(self) -> bool:
        """The stored flow: either flag asks for it."""
        return self.use_stored_method or (self.credit_card is not None and self.credit_card.use_stored_method)

    @property
    def stored_method_urn(self) -> str | None:
        """The method to pay with in the stored flow."""
        return self.credit_card.stored_method_urn if self.is_stored and self.credit_card else None

    @property
    def keeps_method(self) -> bool:
        """Whether the shopper wants the method stored once the payment succeeded."""
        return self.store_method_success_payment == "always"

    def card(self) -> Card | None:
        """The fresh card, if this is one."""
        if self.is_stored or self.credit_card is None or self.payment_channel is not Channel.CREDIT_CARD:
            return None
        return self.credit_card.typed()

    @model_validator(mode="after")
    def _judged(self) -> Self:
        if self.is_stored:
            self._judge_stored()
        elif self.payment_channel is Channel.CREDIT_CARD:
            self._judge_fresh()
        elif self.credit_card is not None and self.credit_card.is_typed():
            raise _refuse("unexpected", "must not be sent with this channel", "creditCard")
        return self

    def _judge_stored(self) -> None:
        if self.credit_card is None or self.credit_card.stored_method_urn is None:
            raise _refuse("missing", "is required", "creditCard.storedMethodUrn")
        if _plain(self.credit_card.card_number):
            raise _refuse("unexpected", "must not be sent with a stored method", "creditCard.cardNumber")

    def _judge_fresh(self) -> None:
        if self.credit_card is None:
            raise _refuse("missing", "is required", "creditCard")
        card = self.credit_card
        if missing := [f"creditCard.{name}" for name, field in _FRESH.items() if getattr(card, field) is None]:
            raise _refuse("missing", "is required", *missing)
        if wrong := [f"creditCard.{name}" for name in _wrong_card_fields(card)]:
            raise _refuse("invalid_card", "cannot be right", *wrong)


def _wrong_card_fields(card: CreditCardDto) -> list[str]:
    """Which fields cannot belong to any card."""
    number = _plain(card.card_number)
    wrong = [] if _PAN.fullmatch(number) and passes_luhn(number) else ["cardNumber"]
    forms = (
        ("cvc", _CVC, card.cvc),
        ("expireYear", _YEAR, card.expire_year),
        ("expireMonth", _MONTH, card.expire_month),
    )
    return wrong + [name for name, form, given in forms if not form.fullmatch(_plain(given))]


def _refuse(kind: str, why: Any, *fields: str) -> PydanticCustomError:
    """An error about *fields*, named from here; api/validation.py puts the path before them."""
    return PydanticCustomError(kind, why, {"fields": fields})


def _plain(secret: Secret | None) -> str:
    return secret.get_secret_value() if secret else ""
