"""What Stripe's documents say, in the words of the port.

A charge is a PaymentIntent; its id is the reference in every answer, event and listing. Only what is understood gets
through: a status, an amount or a field we do not know makes the answer one that does not count, and Stripe's own texts
stay here. What a charge is for stands in its metadata, where we wrote it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal

from pydantic import Field, ValidationError

from shared.domain.cards import CardBrand
from shared.domain.money import Money
from shared.domain.outcomes import (
    Captured,
    Challenge,
    Challenged,
    Declined,
    KeptMethod,
    Pending,
    Returned,
    Unanswered,
)
from shared.psp.documents import D, Document
from shared.psp.port import Channel
from shared.psp.stripe_declines import declined
from shared.psp.stripe_money import from_stripe

Verdict = Captured | Declined | Challenged | Pending | Returned | Unanswered

PSP_KEY: Final = "pspKey"
MERCHANT_REFERENCE: Final = "merchantReference"
REFUND_KEY: Final = "refundKey"
"""metadata of a refund that we asked for: under which of our keys. One that somebody else made has none."""
CHANNEL: Final = "channel"
KEEPS: Final = "keepMethod"
PAGE: Final = "page"
CHECKOUT: Final = "checkout"
"""metadata[page] of a charge whose shopper is on Stripe's own page, where a failed try may be followed by another."""
YES: Final = "yes"

PATIENCE: Final = {Channel.SEPA: timedelta(days=14), Channel.BANK: timedelta(days=7)}
"""How long a debit may take to settle, and a shopper to make a transfer (design)."""
SOON: Final = timedelta(days=1)
"""Whatever else is `processing` is so for seconds; a day is the time to look into it."""

_Id = Annotated[str, Field(min_length=1)]
_YEAR_10000: Final = 253_402_300_800


class CardDocument(Document):
    """A card as Stripe shows it: never its number."""

    brand: str
    last4: str = Field(pattern=r"^\d{4}$")
    exp_month: int = Field(ge=1, le=12)
    exp_year: int = Field(ge=1000, le=9999)


_BRANDS: Final = {brand.value.lower(): brand.value for brand in CardBrand}


class MethodDocument(Document):
    """A PaymentMethod."""

    id: _Id
    object: Literal["payment_method"]
    customer: str | None = None
    card: CardDocument | None = None

    def kept_for(self, customer: str) -> KeptMethod:
        """The same as a kept method of *customer*. Stripe charges a method only together with its customer, so both
        are the token."""
        token, card = f"{customer}/{self.id}", self.card
        if card is None:
            return KeptMethod(token, None, None, None, None)
        brand = _BRANDS.get(card.brand, CardBrand.OTHER.value)
        # Stripe tells the last four; whoever has the number itself knows more (stripe.py).
        return KeptMethod(token, f"{'*' * 12}{card.last4}", brand, str(card.exp_year), f"{card.exp_month:02}")


class CustomerDocument(Document):
    """A Customer."""

    id: _Id
    object: Literal["customer"]


class ChargeDocument(Document):
    """The Charge of a PaymentIntent: what it says of money that went back."""

    id: _Id
    object: Literal["charge"]
    amount_refunded: int = Field(ge=0)
    refunded: bool
    payment_intent: str | None = None
    metadata: dict[str, str] = Field(default_factory=dict)


class _Page(Document):
    url: str | None = None


class _Instructions(Document):
    hosted_instructions_url: str | None = None


class NextActionDocument(Document):
    """What the shopper must do."""

    type: str
    redirect_to_url: _Page | None = None
    display_bank_transfer_instructions: _Instructions | None = None

    @property
    def awaits_transfer(self) -> bool:
        """Whether there is nothing left to do but to transfer the money."""
        return self.type == "display_bank_transfer_instructions"

    def url(self) -> str | None:
        """Where the shopper does it."""
        told = self.display_bank_transfer_instructions
        return self.redirect_to_url.url if self.redirect_to_url else told.hosted_instructions_url if told else None


class _Failure(Document):
    code: str | None = None
    decline_code: str | None = None


class IntentDocument(Document):
    """A PaymentIntent."""

    id: _Id
    object: Literal["payment_intent"]
    amount: int
    amount_received: int | None = None
    currency: str
    status: Literal[
        "requires_payment_method",
        "requires_confirmation",
        "requires_action",
        "processing",
        "requires_capture",
        "canceled",
        "succeeded",
    ]
    created: int = Field(ge=0, lt=_YEAR_10000)
    metadata: dict[str, str] = Field(default_factory=dict)
    customer: str | None = None
    payment_method: str | MethodDocument | None = None
    latest_charge: str | ChargeDocument | None = None
    next_action: NextActionDocument | None = None
    last_payment_error: _Failure | None = None

    @property
    def is_on_page(self) -> bool:
        """Whether its shopper is sent to Stripe's Checkout page."""
        return self.metadata.get(PAGE) == CHECKOUT

    @property
    def may_be_tried_again(self) -> bool:
        """Whether its shopper may still be on that page, whatever became of an earlier try."""
        return self.is_on_page and self.status == "requires_payment_method"

    @property
    def refunded(self) -> int:
        """What of it went back, as Stripe counts; 0 where its charge was not asked for."""
        return self.latest_charge.amount_refunded if isinstance(self.latest_charge, ChargeDocument) else 0

    @property
    def created_at(self) -> datetime:
        """When it was made, to the second."""
        return datetime.fromtimestamp(self.created, UTC)

    def is_about(self, psp_key: str, merchant_reference: str) -> bool:
        """Whether it is the charge of this attempt."""
        return self.metadata.get(PSP_KEY) == psp_key and self.metadata.get(MERCHANT_REFERENCE) == merchant_reference

    def money(self) -> Money | None:
        """What the charge is about."""
        return from_stripe(self.amount, self.currency)

    def verdict(self) -> Verdict:
        """Where the charge stands."""
        match self.status:
            case "succeeded":
                return self._captured()
            case "processing":
                return Pending(self.id, _patience(self.metadata))
            case "requires_action":
                return Challenged(self.id, self._challenge())
            case "requires_payment_method" if self.is_on_page:
                return Challenged(self.id, Challenge(None))  # Its page is the session's to tell.
            case "requires_payment_method" if self.last_payment_error:
                return declined(self.last_payment_error.code, self.last_payment_error.decline_code, self.id)
            case "canceled":
                return Returned(self.id, refunded=False)
            case _:
                # Seen between its making and its confirming, or only authorised: neither a yes nor a no.
                return Unanswered("charge is not decided")

    def _captured(self) -> Captured | Returned | Unanswered:
        if isinstance(self.latest_charge, ChargeDocument) and self.latest_charge.refunded:
            return Returned(self.id, refunded=True)
        money = self.money()
        if money is None or self.amount_received not in (None, self.amount):
            return Unanswered("captured amount is not the one asked for")
        return Captured(self.id, money, self._kept())

    def _kept(self) -> KeptMethod | None:
        asked = self.metadata.get(KEEPS) == YES and self.customer is not None
        method = self.payment_method
        return method.kept_for(self.customer or "") if asked and isinstance(method, MethodDocument) else None

    def _challenge(self) -> Challenge:
        by_card = self.metadata.get(CHANNEL) == Channel.CREDIT_CARD.value
        url = self.next_action.url() if self.next_action else None
        return Challenge(url, three_d_identifier=self.id if by_card else None)


def _patience(metadata: dict[str, str]) -> timedelta:
    return next((days for channel, days in PATIENCE.items() if metadata.get(CHANNEL) == channel.value), SOON)


class IntentsDocument(Document):
    """A page of PaymentIntents, the newest first."""

    object: Literal["list"]
    data: list[IntentDocument]
    has_more: bool


class _Found(Document):
    id: _Id
    metadata: dict[str, str] = Field(default_factory=dict)


class FoundDocument(Document):
    """What a search found; how it stands there may be out of date."""

    object: Literal["search_result"]
    data: list[_Found]


class SessionDocument(Document):
    """A Checkout Session."""

    id: _Id
    object: Literal["checkout.session"]
    status: Literal["open", "complete", "expired"] | None = None
    url: str | None = None
    amount_total: int | None = None
    currency: str | None = None
    payment_intent: _Id | None = None
    metadata: dict[str, str] = Field(default_factory=dict)


class SessionsDocument(Document):
    """The Checkout Sessions of a PaymentIntent."""

    object: Literal["list"]
    data: list[SessionDocument]


class RefundDocument(Document):
    """A Refund."""

    id: _Id
    object: Literal["refund"]
    amount: int
    currency: str
    payment_intent: str | None = None
    status: Literal["pending", "requires_action", "succeeded", "failed", "canceled"]
    metadata: dict[str, str] | None = None

    @property
    def asked_as(self) -> str:
        """The key under which it was asked for; empty: by nobody of ours."""
        return (self.metadata or {}).get(REFUND_KEY, "")


class Error(_Failure):
    """Why not."""

    type: Literal["api_error", "card_error", "idempotency_error", "invalid_request_error"]
    param: str | None = None
    payment_intent: IntentDocument | None = None


class ErrorDocument(Document):
    """Why Stripe did not do it, and where the charge stands."""

    error: Error


class _EventData(Document):
    object: dict[str, Any]


class EventDocument(Document):
    """A webhook."""

    id: _Id
    type: str
    data: _EventData | None = None


def read(model: type[D], document: dict[str, Any]) -> D | None:
    """*document*, a part of another one, as *model*; None if it is none."""
    try:
        return model.model_validate(document)
    except ValidationError:
        return None
