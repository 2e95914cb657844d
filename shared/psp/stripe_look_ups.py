"""What Stripe knows of a charge, asked by its id, by our key, or for a whole account.

By our key means Stripe's search, whose index is behind by up to a minute (in an outage more), for new charges and for
what became of old ones. So a search only names charges, each is then read as it stands; and "nothing found" is no
proof (capability `proves_absence`). Reading by id and listing are never behind.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from shared.domain.money import Money
from shared.domain.outcomes import (
    Absent,
    Captured,
    Challenge,
    Challenged,
    Declined,
    LookUpOutcome,
    Pending,
    Returned,
    Unanswered,
)
from shared.psp.documents import parsed
from shared.psp.http import Answer
from shared.psp.port import Channel, ChargePage, ChargeQuery, ChargeRecord
from shared.psp.stripe_answers import (
    MERCHANT_REFERENCE,
    PATIENCE,
    PSP_KEY,
    FoundDocument,
    IntentDocument,
    IntentsDocument,
    SessionDocument,
    SessionsDocument,
)
from shared.psp.stripe_declines import declined
from shared.psp.stripe_refusals import MISMATCH, is_absent
from shared.psp.stripe_wire import StripeWire

PAGE_SIZE: Final = 100
"""The most Stripe lists at once."""
MOST_OF_A_KEY: Final = 10
"""Charges under one key that are looked at; there is one, unless the key was used after Stripe had forgotten it."""
NO_ANSWER: Final = Unanswered("look-up got no answer")
_WEIGHT: Final = (Captured, Unanswered, Pending, Challenged, Returned, Declined)
"""Of several charges under one key the one with money decides, then the one nobody knows."""


class StripeLookUps:
    """Questions about one account's charges."""

    def __init__(self, wire: StripeWire) -> None:
        self._wire = wire

    def look_up(self, query: ChargeQuery) -> LookUpOutcome:
        """What became of one attempt."""
        return self._one(query, query.reference) if query.reference else self._ours(query)

    def intent(self, reference: str) -> IntentDocument | Absent | None:
        """The charge *reference* as it stands; None without an answer."""
        reply = self._wire.ask(
            lambda client: client.v1.payment_intents.retrieve(
                reference, {"expand": ["latest_charge", "payment_method"]}
            )
        )
        if is_absent(reply):
            return Absent()
        found = parsed(IntentDocument, reply.body) if isinstance(reply, Answer) and reply.status == 200 else None
        return found if found is not None and found.id == reference else None

    def session(self, reference: str) -> SessionDocument | None:
        """The Checkout Session of the charge *reference*; None without an answer."""
        reply = self._wire.ask(
            lambda client: client.v1.checkout.sessions.list({"payment_intent": reference, "limit": 1})
        )
        found = parsed(SessionsDocument, reply.body) if isinstance(reply, Answer) and reply.status == 200 else None
        return next((one for one in found.data if one.payment_intent == reference), None) if found else None

    def page(self, since: datetime, after: str | None) -> ChargePage | Unanswered:
        """Charges made since *since*. Stripe lists the newest first and can begin nowhere else: the pages come so, and
        each is turned round. A charge made meanwhile is on none of them, and none is shown twice."""
        reply = self._wire.ask(
            lambda client: client.v1.payment_intents.list(
                {
                    "created": {"gte": int(since.timestamp())},
                    "limit": PAGE_SIZE,
                    "expand": ["data.latest_charge"],
                    **({"starting_after": after} if after else {}),
                }
            )
        )
        found = parsed(IntentsDocument, reply.body) if isinstance(reply, Answer) and reply.status == 200 else None
        if found is None:
            return Unanswered("listing got no answer")
        records = tuple(_record(intent) for intent in reversed(found.data))
        return ChargePage(records, found.data[-1].id if found.has_more and found.data else None)

    def _one(self, query: ChargeQuery, reference: str) -> LookUpOutcome:
        intent = self.intent(reference)
        if isinstance(intent, Absent):
            return intent
        if intent is None:
            return NO_ANSWER
        if not intent.is_about(query.psp_key, query.merchant_reference):
            return MISMATCH
        return self._on_page(intent) if intent.may_be_tried_again else _standing(intent)

    def _ours(self, query: ChargeQuery) -> LookUpOutcome:
        text = f"metadata['{PSP_KEY}']:'{_quoted(query.psp_key)}'"
        reply = self._wire.ask(lambda client: client.v1.payment_intents.search({"query": text, "limit": MOST_OF_A_KEY}))
        found = parsed(FoundDocument, reply.body) if isinstance(reply, Answer) and reply.status == 200 else None
        if found is None:
            return NO_ANSWER
        of_key = [one for one in found.data if one.metadata.get(PSP_KEY) == query.psp_key]
        if any(one.metadata.get(MERCHANT_REFERENCE) != query.merchant_reference for one in of_key):
            return MISMATCH
        outcomes = [self._one(query, one.id) for one in of_key]
        known = [outcome for outcome in outcomes if not isinstance(outcome, Absent)]
        return min(known, key=lambda outcome: _WEIGHT.index(type(outcome))) if known else Absent()

    def _on_page(self, intent: IntentDocument) -> LookUpOutcome:
        """Where a charge stands whose shopper was sent to Stripe's page: only its session knows."""
        session = self.session(intent.id)
        match session.status if session else None:
            case "open":
                assert session is not None
                return Challenged(intent.id, Challenge(session.url))
            case "expired":
                return Returned(intent.id, refunded=False)
            case "complete" if intent.last_payment_error:
                return declined(intent.last_payment_error.code, intent.last_payment_error.decline_code, intent.id)
            case _:
                return NO_ANSWER


def _standing(intent: IntentDocument) -> LookUpOutcome:
    """Its verdict; a transfer's shopper was sent to the page with the account when it was made, and nobody learns more
    of them until the money comes."""
    if intent.status == "requires_action" and intent.next_action and intent.next_action.awaits_transfer:
        return Pending(intent.id, PATIENCE[Channel.BANK])
    return intent.verdict()


def _record(intent: IntentDocument) -> ChargeRecord:
    return ChargeRecord(
        psp_key=intent.metadata.get(PSP_KEY, ""),
        merchant_reference=intent.metadata.get(MERCHANT_REFERENCE, ""),
        reference=intent.id,
        money=intent.money() or Money(intent.amount, intent.currency.upper()),
        outcome=_standing(intent),
        created_at=intent.created_at,
    )


def _quoted(text: str) -> str:
    """*text* as it stands between quotes of Stripe's search."""
    return text.replace("\\", "\\\\").replace("'", "\\'")
