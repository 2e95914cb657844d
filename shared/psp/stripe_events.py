"""What a webhook of Stripe tells, once its signature and its time are good.

The signature is the library's to verify. The window is ours: the library measures it by the process's own clock and to
one side, takes any digits, and lets a header that is not ASCII escape as whatever error it meets; here *now* comes in
and every failure is BadSignature. A body that is signed but not understood is kept as OTHER.

Read are the moves of a PaymentIntent, a full refund (told of its Charge, which carries the same metadata), a refund
that failed after all, and a debit that failed after its page was done. `payment_intent.payment_failed` of a charge on
Stripe's page is not: its shopper may try again there.

A refund fails days after Stripe said that it succeeded, and is told of by up to three events, each at some accounts and
not at others: they are one event here, named by the refund. It names its charge and, where we asked for it, our key;
whose charge it is it does not say, so one of a charge that somebody else made in this account waits for its attempt, as
any news of an unknown charge.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from stripe import SignatureVerificationError, WebhookSignature

from shared.domain.outcomes import LookUpOutcome, Returned, StillHeld
from shared.psp.documents import parsed
from shared.psp.port import BadSignature, EventKind, PspEvent
from shared.psp.stripe_answers import (
    MERCHANT_REFERENCE,
    PSP_KEY,
    ChargeDocument,
    EventDocument,
    IntentDocument,
    RefundDocument,
    SessionDocument,
    read,
)
from shared.psp.stripe_declines import declined
from shared.psp.stripe_money import from_stripe

REPLAY_WINDOW: Final = timedelta(minutes=5)
"""Either side of now, as Stripe advises: longer than clocks differ, shorter than a replay is worth."""
SIGNATURE: Final = re.compile(r"t=(\d{1,11})((?:,v\d=[0-9a-f]{1,128}){1,8})", re.ASCII)
"""One time stamp and a handful of signatures: a rotation shows two. 11 digits reach to the year 5138."""
MOVES: Final = frozenset(
    f"payment_intent.{move}" for move in ("succeeded", "processing", "requires_action", "payment_failed", "canceled")
)
OF_REFUNDS: Final = frozenset({"refund.failed", "refund.updated", "charge.refund.updated"})
NOT_GIVEN: Final = frozenset({"failed", "canceled"})
EVENTS: Final = MOVES | OF_REFUNDS | {"charge.refunded", "checkout.session.async_payment_failed"}
"""What an endpoint at Stripe has to be subscribed to; all else is kept and acknowledged, and nothing more."""


def read_event(headers: Mapping[str, str], body: bytes, *, secrets: Iterable[str], now: datetime) -> PspEvent:
    """What a webhook that one of *secrets* signed within the window tells; raises BadSignature.

    Several secrets are the overlap of a rotation.
    """
    _verify(headers, body, secrets, now)
    event = parsed(EventDocument, body)
    if event is None:
        return _other(f"unread-{hashlib.sha256(body).hexdigest()}")
    if event.type in OF_REFUNDS:
        return _of_refund(event) or _other(event.id)
    told = _told(event)
    if told is None:
        return _other(event.id)
    metadata, outcome = told
    psp_key, reference = metadata.get(PSP_KEY), metadata.get(MERCHANT_REFERENCE)
    if psp_key is None or reference is None:
        return _other(event.id)  # A charge that somebody else made in this account.
    return PspEvent(event.id, EventKind.CHARGE, reference, psp_key, outcome)


def _verify(headers: Mapping[str, str], body: bytes, secrets: Iterable[str], now: datetime) -> None:
    header = {name.lower(): value for name, value in headers.items()}.get("stripe-signature", "")
    found = SIGNATURE.fullmatch(header)
    if found is None:
        raise BadSignature("webhook header is missing or malformed")
    if abs(now - datetime.fromtimestamp(int(found[1]), UTC)) > REPLAY_WINDOW:
        raise BadSignature("webhook is older or newer than the window")
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise BadSignature("webhook body is not UTF-8") from None
    if not any(_is_signed(text, header, secret) for secret in secrets):
        raise BadSignature("webhook signature does not verify")


def _is_signed(text: str, header: str, secret: str) -> bool:
    try:
        WebhookSignature.verify_header(text, header, secret)
    except SignatureVerificationError:
        return False
    return True


def _told(event: EventDocument) -> tuple[Mapping[str, str], LookUpOutcome] | None:
    """Whose charge an event is about and what it says of it; None for nothing we act on."""
    document = event.data.object if event.data else {}
    if event.type in MOVES:
        intent = read(IntentDocument, document)
        return None if intent is None or intent.may_be_tried_again else (intent.metadata, intent.verdict())
    if event.type == "charge.refunded":
        charge = read(ChargeDocument, document)
        if charge is not None and charge.refunded and charge.payment_intent is not None:
            return charge.metadata, Returned(charge.payment_intent, refunded=True)
    if event.type == "checkout.session.async_payment_failed":
        session = read(SessionDocument, document)
        if session is not None and session.payment_intent is not None:
            return session.metadata, declined(None, None, session.payment_intent)
    return None


def _of_refund(event: EventDocument) -> PspEvent | None:
    """What an event says of a refund that was not given in the end; None for one that may be, or was."""
    refund = read(RefundDocument, event.data.object if event.data else {})
    if refund is None or refund.status not in NOT_GIVEN or refund.payment_intent is None:
        return None
    money = from_stripe(refund.amount, refund.currency)
    held = StillHeld(refund.payment_intent, money, asked_as=refund.asked_as)
    return PspEvent(f"not-given:{refund.id}", EventKind.CHARGE, None, None, held)


def _other(event_id: str) -> PspEvent:
    return PspEvent(event_id, EventKind.OTHER, None, None, None)
