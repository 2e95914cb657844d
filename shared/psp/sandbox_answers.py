"""What the sandbox PSP's documents say, in the words of the port.

Only what is understood gets through: a state, reason or field we do not know makes the answer one that does not
count (None), and the PSP's own texts stay here.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import AwareDatetime, ConfigDict, Field
from pydantic.alias_generators import to_camel

from shared.domain.money import Money
from shared.domain.outcomes import (
    Captured,
    Challenge,
    Challenged,
    Declined,
    DeclineReason,
    KeptMethod,
    Pending,
    Returned,
)
from shared.psp.documents import Document
from shared.psp.port import ChargePage, ChargeRecord

Verdict = Captured | Declined | Challenged | Pending | Returned


class _Document(Document):
    model_config = ConfigDict(alias_generator=to_camel)


class KeptDocument(_Document):
    """A kept method."""

    token: str = Field(min_length=1, repr=False)
    masked_number: str | None = None
    card_type: str | None = None
    expire_year: str | None = None
    expire_month: str | None = None

    def method(self) -> KeptMethod:
        """The same, in the words of the port."""
        return KeptMethod(**self.model_dump())


class ChallengeDocument(_Document):
    """What the shopper must do."""

    redirect_url: str = Field(min_length=1)
    html_content: str | None = None
    three_d_identifier: str | None = None


class ChargeDocument(_Document):
    """A charge as the sandbox tells it."""

    psp_reference: str = Field(min_length=1)
    merchant_reference: str
    idempotency_key: str
    amount_minor: int
    currency: str
    state: Literal["declined", "challenge", "pending", "captured", "voided", "refunded"]
    decline_reason: str | None = None
    soft: bool = False
    challenge: ChallengeDocument | None = None
    kept: KeptDocument | None = None
    pending_for_seconds: int = Field(default=86_400, gt=0)
    refunded_minor: int = 0

    def money(self) -> Money:
        """What the charge is about."""
        return Money(self.amount_minor, self.currency)

    def verdict(self) -> Verdict:
        """Where the charge stands."""
        match self.state:
            case "captured":
                return Captured(self.psp_reference, self.money(), self.kept.method() if self.kept else None)
            case "declined":
                return Declined(reason_of(self.decline_reason), self.psp_reference, self.soft)
            case "challenge":
                return Challenged(self.psp_reference, self._challenge())
            case "pending":
                return Pending(self.psp_reference, timedelta(seconds=self.pending_for_seconds))
            case "voided" if self.decline_reason:
                # Cancelled on the PSP's page before any money moved: a no, and no money of ours to go back.
                return Declined(reason_of(self.decline_reason), self.psp_reference)
            case "voided" | "refunded":
                return Returned(self.psp_reference, refunded=self.state == "refunded")

    def _challenge(self) -> Challenge:
        asked = self.challenge
        return Challenge(asked.redirect_url, asked.html_content, asked.three_d_identifier) if asked else Challenge(None)


class ChargesDocument(_Document):
    """The charges of one merchant reference, newest first."""

    charges: list[ChargeDocument]


class ListedDocument(ChargeDocument):
    """A charge of the sandbox's books."""

    created_at: AwareDatetime

    def record(self) -> ChargeRecord:
        """The same, in the words of the port."""
        return ChargeRecord(
            psp_key=self.idempotency_key,
            merchant_reference=self.merchant_reference,
            reference=self.psp_reference,
            money=self.money(),
            outcome=self.verdict(),
            created_at=self.created_at,
        )


class PageDocument(_Document):
    """A page of the sandbox's books."""

    charges: list[ListedDocument]
    next: str | None

    def page(self) -> ChargePage:
        """The same, in the words of the port."""
        return ChargePage(tuple(charge.record() for charge in self.charges), self.next)


class KeepDocument(_Document):
    """The answer to a request to keep a card."""

    kept: KeptDocument | None = None
    decline_reason: str | None = None


class _Error(_Document):
    code: str


class ErrorDocument(_Document):
    """Why the sandbox did not do it, and where the charge stands."""

    error: _Error
    charge: ChargeDocument | None = None


class EventDocument(_Document):
    """A webhook."""

    id: str = Field(min_length=1)
    type: str
    charge: ChargeDocument


def reason_of(code: str | None) -> DeclineReason:
    """The sandbox's reasons are named as ours; one we do not know is a plain no."""
    try:
        return DeclineReason(code or "")
    except ValueError:
        return DeclineReason.GENERIC
