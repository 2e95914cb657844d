"""What is said and heard about stored payment methods (contract section 5)."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Self

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from api.schemas.common import Answer, Identifier, Status, Wire
from api.schemas.payment import PaymentMethodDto
from shared.domain.cards import Card
from shared.psp.port import Channel
from shared.store.methods import MethodState


class AddMethodRequest(Wire):
    """Keep this card: only a fresh card can be tokenized, a stored one already is."""

    customer_urn: Identifier
    payment_method: PaymentMethodDto

    def card(self) -> Card:
        """The card to keep."""
        card = self.payment_method.card()
        assert card is not None  # _is_fresh_card
        return card

    @model_validator(mode="after")
    def _is_fresh_card(self) -> Self:
        if self.payment_method.payment_channel is not Channel.CREDIT_CARD:
            raise PydanticCustomError("enum", "", {"fields": ("paymentMethod.paymentChannel",)})
        if self.payment_method.is_stored:
            raise PydanticCustomError("unexpected", "", {"fields": ("paymentMethod.useStoredMethod",)})
        return self


class ListedMethod(Answer):
    """A stored method as the list shows it."""

    payment_method_urn: str
    payment_channel: Channel
    masked_card_number: str | None = None
    card_type: str | None = None
    state: MethodState


class StoredMethod(ListedMethod):
    """A stored method in full."""

    customer_urn: str
    expire_month: str | None = None
    expire_year: str | None = None
    card_alias: str | None = None
    stored_at: datetime


class PaymentMethodResponse(Answer):
    """One method, or null and why."""

    status: Status
    result: StoredMethod | None = None
    message: str | None = None
    always_there: ClassVar[frozenset[str]] = frozenset({"result"})


class PaymentMethodList(Answer):
    """The methods of a customer, or null and why."""

    status: Status
    result: list[ListedMethod] | None = None
    message: str | None = None
    always_there: ClassVar[frozenset[str]] = frozenset({"result"})
