"""Reads Adyen's notifications, and believes of them what is signed.

The signature stands inside the body and covers eight fields of the item and no more (docs.adyen.com, Verify HMAC
signatures). So the body has to be parsed before it is verified, by a strict model and within the route's cap; and
nothing outside those eight decides about money: not the reason, not a token, not our key in the metadata, which only
helps to find an attempt whose signed reference agrees (shared/store/attempts.py). The fields are joined by colons, so
only a reference of ours may hold one: the rest are held to shapes without, and the merchant account to its very name.

What tells of a cancel or a refund carries the reference that came with that request (adyen_requests.py sends our key),
or none if none came: so Adyen's own plug-ins read it, though its list of fields does not say. Hence it tells which of
several it was; what rests on that, and what does not, stands in shared/store/refunds_told.py.

There is no time stamp, hence no replay window: an event is told apart by its code, its reference and its success, and
has its effect once. One item a body, as Adyen sends JSON; a body of several is refused, for it could only be
acknowledged or refused as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

from Adyen.util import is_valid_hmac_notification
from pydantic import Field

from shared.domain.money import Money
from shared.domain.outcomes import Captured, Declined, DeclineReason, LookUpOutcome, Returned, StillHeld
from shared.psp.adyen_answers import Amount, Document
from shared.psp.adyen_requests import CARD_CHECK, KEY_NAME
from shared.psp.documents import parsed
from shared.psp.port import BadSignature, EventKind, PspEvent

_PLAIN: Final = r"^[^:]{1,200}$"
_MAYBE: Final = r"^[^:]{0,200}$"


class _AnyAmount(Document):
    currency: str = Field("", pattern=r"^([A-Z]{3})?$")
    value: int | Literal[""] = ""


class _Item(Document):
    psp_reference: str = Field(pattern=_PLAIN)
    original_reference: str = Field("", pattern=_MAYBE)
    merchant_account_code: str
    merchant_reference: str = ""
    amount: _AnyAmount = Field(default_factory=lambda: _AnyAmount.model_validate({}))
    event_code: str = Field(pattern=r"^[A-Z0-9_]{1,60}$")
    success: Literal["true", "false"]
    additional_data: dict[str, Any] = Field(default_factory=dict, repr=False)

    @property
    def money(self) -> Money | None:
        """Its amount in ours."""
        amount = self.amount
        return None if amount.value == "" else Amount(currency=amount.currency, value=amount.value).money()

    @property
    def signed(self) -> dict[str, Any]:
        """What is signed, and the signature, as the library reads them."""
        fields = self.model_dump(by_alias=True, exclude={"additional_data"})
        return fields | {"additionalData": {"hmacSignature": self.additional_data.get("hmacSignature")}}


class _Wrapped(Document):
    item: _Item = Field(alias="NotificationRequestItem")


class _Notification(Document):
    notification_items: list[_Wrapped] = Field(min_length=1, max_length=1)


def read(body: bytes, *, secrets: Iterable[str], merchant_account: str) -> PspEvent:
    """The event that *body* tells of, if one of *secrets* signed it for this account; raises BadSignature."""
    told = parsed(_Notification, body)
    if told is None:
        raise BadSignature("no notification of one item")
    item = told.notification_items[0].item
    if item.merchant_account_code != merchant_account or not _is_signed(item, secrets):
        raise BadSignature("notification signature does not verify")
    event_id = f"{item.event_code}:{item.psp_reference}:{item.success}"
    outcome = _outcome(item)
    if outcome is None:
        kind = EventKind.DISPUTED if (item.event_code, item.success) in _TAKEN_FROM_US else EventKind.OTHER
        return PspEvent(event_id, kind, item.merchant_reference or None, None, None)
    if item.event_code not in _OF_PAYMENTS:
        return PspEvent(event_id, EventKind.CHARGE, None, None, outcome)  # It names the charge, and its request.
    return PspEvent(event_id, EventKind.CHARGE, item.merchant_reference, _key_of(item), outcome)


_OF_PAYMENTS: Final = frozenset({"AUTHORISATION", "OFFER_CLOSED"})
_OF_RETURNS: Final = frozenset({"CANCELLATION", "CANCEL_OR_REFUND", "REFUND", "TECHNICAL_CANCEL"})
_TAKEN_FROM_US: Final = {
    ("CAPTURE", "false"),
    ("CAPTURE_FAILED", "true"),
    ("CHARGEBACK", "true"),
    ("NOTIFICATION_OF_CHARGEBACK", "true"),
    ("SECOND_CHARGEBACK", "true"),
}
_CAME_BACK: Final = frozenset({"REFUND_FAILED", "REFUNDED_REVERSED"})


def _outcome(item: _Item) -> LookUpOutcome | None:
    """What the item says of a charge; None for what we do not act on."""
    happened, charge = item.success == "true", item.original_reference
    match item.event_code:
        case "AUTHORISATION" if item.amount.value != CARD_CHECK:
            return _authorised(item) if happened else Declined(DeclineReason.GENERIC, item.psp_reference)
        case "OFFER_CLOSED" if happened:  # The shopper did not come to the end of a page.
            return Declined(DeclineReason.SHOPPER_CANCELLED, item.psp_reference)
        case code if code in _OF_RETURNS and charge:
            asked_as = item.merchant_reference
            if happened:
                return Returned(charge, item.money, asked_as=asked_as)
            return StillHeld(charge, item.money, asked_as, was_done=False)
        case code if code in _CAME_BACK and charge and happened:
            return StillHeld(charge, item.money, item.merchant_reference, was_done=True)
        case _:
            return None


def _authorised(item: _Item) -> Captured | None:
    """Every payment of ours is captured as it is authorised (adyen_requests.py)."""
    return None if item.money is None else Captured(item.psp_reference, item.money)


def _key_of(item: _Item) -> str | None:
    """Our key: a hint from the metadata, or the reference itself where that was too long to send."""
    hint = item.additional_data.get(f"metadata.{KEY_NAME}")
    return hint if isinstance(hint, str) and hint else None


def _is_signed(item: _Item, secrets: Iterable[str]) -> bool:
    signature = item.additional_data.get("hmacSignature")
    if not isinstance(signature, str) or not signature.isascii() or not signature:
        return False
    verified = [is_valid_hmac_notification(item.signed, secret) for secret in secrets]  # All: no timing tells which.
    return any(verified)


def secrets_of(credentials: Mapping[str, str]) -> list[str]:
    """The keys that may have signed: two while one is rotated."""
    return [credentials[name] for name in ("hmacKey", "hmacKeyBefore") if name in credentials]
