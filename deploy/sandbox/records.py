"""What the sandbox knows of an account, a kept method and a charge, in memory, in the ledger and in answers.

No record has room for a card number or a CVC: a typed card becomes a mask and the name of its behaviour before
anything else is done with it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any, Final

PATIENCE_S: Final = {"SEPA": 14 * 86_400, "Bank": 7 * 86_400}
"""How long a pending payment of a channel may stay so, at most; any other channel: one day."""


def stamp(seconds: float) -> str:
    """A moment (seconds since 1970) as RFC 3339 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class PspAccount:
    """A merchant's account here."""

    account_id: str
    api_key: str
    webhook_url: str | None
    webhook_secret: str
    merchant_name: str


@dataclass(frozen=True, slots=True)
class Method:
    """A payment method as far as anyone may know it, and what charging it does."""

    behaviour: str
    masked_number: str | None = None
    card_type: str | None = None
    expire_year: str | None = None
    expire_month: str | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """A kept method of one account."""

    token: str
    account_id: str
    method: Method

    def shown(self) -> dict[str, Any]:
        """The *kept* part of an answer."""
        return {
            "token": self.token,
            "maskedNumber": self.method.masked_number,
            "cardType": self.method.card_type,
            "expireMonth": self.method.expire_month,
            "expireYear": self.method.expire_year,
        }


@dataclass(frozen=True, slots=True)
class Charge:
    """One attempt to take money. Times are seconds since 1970."""

    reference: str
    account_id: str
    merchant_reference: str
    key: str
    amount_minor: int
    currency: str
    channel: str
    state: str  # declined | challenge | pending | captured | voided | refunded
    created_at: float
    method: Method
    keep_method: bool = False
    return_url: str | None = None
    decline_reason: str | None = None
    soft: bool = False
    script: str | None = None
    page_url: str | None = None
    three_d_identifier: str | None = None
    due_at: float | None = None
    due_state: str | None = None  # What the charge becomes by itself at due_at.
    captured_at: float | None = None
    refunded_minor: int = 0
    kept: Token | None = None

    def shown(self) -> dict[str, Any]:
        """The charge as answers and webhooks tell it."""
        document: dict[str, Any] = {
            "pspReference": self.reference,
            "merchantReference": self.merchant_reference,
            "idempotencyKey": self.key,
            "amountMinor": self.amount_minor,
            "currency": self.currency,
            "channel": self.channel,
            "state": self.state,
            "createdAt": stamp(self.created_at),
        }
        if self.decline_reason:
            # issuerText is what a real PSP adds in its own words; it must never reach a shopper.
            issuer_text = f"SANDBOX ISSUER TEXT: {self.decline_reason}"
            document |= {"declineReason": self.decline_reason, "soft": self.soft, "issuerText": issuer_text}
        if self.state == "challenge":
            document["challenge"] = {"redirectUrl": self.page_url, "threeDIdentifier": self.three_d_identifier}
        if self.state == "pending":
            document["pendingForSeconds"] = PATIENCE_S.get(self.channel, 86_400)
        if self.refunded_minor:
            document["refundedMinor"] = self.refunded_minor
        if self.kept and self.state == "captured":
            document["kept"] = self.kept.shown()
        return document

    def in_ledger(self) -> dict[str, Any]:
        """The row of GET /ledger."""
        return {
            "pspReference": self.reference,
            "merchantReference": self.merchant_reference,
            "idempotencyKey": self.key,
            "amountMinor": self.amount_minor,
            "currency": self.currency,
            "state": self.state,
            "createdAt": stamp(self.created_at),
            "accountId": self.account_id,
            "refundedMinor": self.refunded_minor,
        }


_CHARGE_FIELDS: Final = tuple(field.name for field in fields(Charge))


def charge_to_line(charge: Charge) -> dict[str, Any]:
    """A charge as the ledger file holds it; by hand, since asdict copies deeply and took a third of a call's time."""
    line = {name: getattr(charge, name) for name in _CHARGE_FIELDS}
    return line | {"method": asdict(charge.method), "kept": charge.kept and asdict(charge.kept)}


def charge_of_line(document: dict[str, Any]) -> Charge:
    """The charge a ledger line holds."""
    kept = document["kept"] and token_of_line(document["kept"])
    return Charge(**(document | {"method": Method(**document["method"]), "kept": kept}))


def token_of_line(document: dict[str, Any]) -> Token:
    """The kept method a ledger line holds."""
    return Token(**(document | {"method": Method(**document["method"])}))
