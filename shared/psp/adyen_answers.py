"""What Adyen's documents say (Checkout API v72), in the words of the port.

An answer counts if it speaks of what was asked. A capture must name our reference and amount; a no or a wait may leave
them out, as Adyen's own examples do, but never name others. What a document does not say is not made up: a result we do
not know is Unanswered, and what became of it is told by a notification.

While the shopper is on a page the charge has no reference: Adyen names it with the result of /payments/details.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Literal

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from shared.domain.cards import Card
from shared.domain.money import Money
from shared.domain.outcomes import (
    Captured,
    Challenged,
    Declined,
    DeclineReason,
    NotSent,
    PaymentOutcome,
    Pending,
    Unanswered,
)
from shared.psp import documents
from shared.psp.adyen_kept import kept_by
from shared.psp.adyen_money import from_adyen
from shared.psp.adyen_refusals import IN_PROGRESS, not_tried, refused
from shared.psp.adyen_shown import Action, challenge_of, is_transfer
from shared.psp.adyen_wire import Reply
from shared.psp.http import Answer
from shared.psp.port import Channel

PATIENCE: Final = {Channel.SEPA: timedelta(days=14), Channel.BANK: timedelta(days=7)}
"""A direct debit may come back unpaid for 14 days; a transfer is on its way for 7 (design)."""
OTHERWISE: Final = timedelta(days=3)
"""A wallet that looks into a payment tells within 72 hours."""
MISMATCH: Final = Unanswered("answer does not match")


class Document(documents.Document):
    """A document of Adyen's."""

    model_config = ConfigDict(alias_generator=to_camel)


class Amount(Document):
    """An amount in Adyen's minor units."""

    currency: str = Field(pattern=r"^[A-Z]{3}$")
    value: int

    def money(self) -> Money | None:
        """The same in ours; None if it is no amount of ours."""
        return from_adyen(self.value, self.currency)


class PaymentDocument(Document):
    """The answer of /payments and of /payments/details."""

    result_code: str
    psp_reference: str | None = Field(None, pattern=r"^[A-Za-z0-9]{1,64}$")
    merchant_reference: str | None = None
    amount: Amount | None = None
    refusal_reason_code: str | None = None
    action: Action | None = None
    additional_data: dict[str, Any] = Field(default_factory=dict, repr=False)


class LinkDocument(Document):
    """The answer of /paymentLinks."""

    url: str = Field(pattern=r"^https?://")
    reference: str
    amount: Amount
    status: Literal["active"]


class ModificationDocument(Document):
    """The answer of /reversals and /refunds: it was taken in hand, no more."""

    payment_psp_reference: str
    status: Literal["received"]
    amount: Amount | None = None


class ErrorDocument(Document):
    """Adyen's own word for why a request was refused."""

    status: int
    error_code: str = Field(pattern=r"^[0-9A-Za-z_]{1,20}$")
    error_type: Literal["internal", "validation", "security", "configuration"]
    message: str


@dataclass(frozen=True, slots=True)
class Asked:
    """What a document must be about. *money* None: whatever it names, the caller compares it."""

    reference: str
    money: Money | None
    channel: Channel | None = None
    card: Card | None = None


def verdict_of(reply: Reply, asked: Asked) -> PaymentOutcome:
    """What the answer to a payment, or to its details, says of what was *asked*."""
    if not isinstance(reply, Answer) or reply.status != 200:
        return not_done(reply)
    document = documents.parsed(PaymentDocument, reply.body)
    if document is None:
        return Unanswered("answer is malformed")
    return _verdict(document, asked) if _is_about(document, asked) else MISMATCH


def not_done(reply: Reply) -> Declined | NotSent | Unanswered:
    """What an answer other than a result means. Only Adyen's own document proves anything."""
    if not isinstance(reply, Answer):
        return reply
    error = documents.parsed(ErrorDocument, reply.body)
    if error is None or error.status != reply.status or error.error_code in IN_PROGRESS:
        return Unanswered(f"status {reply.status}")
    match reply.status:
        case 401 | 403:
            return NotSent("account refused")
        case 429:
            return NotSent("paced")
        case 400 | 422:
            return not_tried(error.error_code)
        case status:
            return Unanswered(f"status {status}")


def _is_about(document: PaymentDocument, asked: Asked) -> bool:
    if document.merchant_reference not in (None, asked.reference):
        return False
    return asked.money is None or document.amount is None or document.amount.money() == asked.money


def _verdict(document: PaymentDocument, asked: Asked) -> PaymentOutcome:
    reference = document.psp_reference
    match document.result_code:
        case "RedirectShopper" | "IdentifyShopper" | "ChallengeShopper":
            return Challenged(None, challenge_of(document.action, document.additional_data))
        case "PresentToShopper" | "Pending" | "Received" if is_transfer(document.action):
            patience = PATIENCE[Channel.BANK]
            return Challenged(reference, challenge_of(document.action, document.additional_data), patience)
        case "PresentToShopper":
            return Challenged(None, challenge_of(document.action, document.additional_data))
        case _ if reference is None:
            return Unanswered("answer names no charge")
        case "Authorised":
            return _captured(document, reference, asked)
        case "Refused" | "Error":
            return refused(document.refusal_reason_code, reference)
        case "Cancelled":
            return Declined(DeclineReason.SHOPPER_CANCELLED, reference)
        case "Pending" | "Received":
            return Pending(reference, PATIENCE.get(asked.channel, OTHERWISE) if asked.channel else OTHERWISE)
        case _:
            return Unanswered("answer says nothing we know")


def _captured(document: PaymentDocument, reference: str, asked: Asked) -> Captured | Unanswered:
    money = document.amount.money() if document.amount else None
    if money is None or document.merchant_reference is None:
        return Unanswered("answer does not say what of")  # Its notification does, signed.
    return Captured(reference, money, kept_by(document.additional_data, asked.card))
