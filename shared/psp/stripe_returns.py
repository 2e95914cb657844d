"""Giving money back: an open charge is cancelled, a captured one refunded; a refusal is followed by a look.

Cancelling needs no key of ours: a second one finds the charge cancelled. Under a kept key Stripe would repeat an old
refusal for a day, though the charge can be cancelled by then.
"""

from __future__ import annotations

from shared.domain.money import Money
from shared.domain.outcomes import Captured, Declined, Returned, ReturnOutcome, Unanswered
from shared.psp.documents import parsed
from shared.psp.http import Answer
from shared.psp.stripe_answers import REFUND_KEY, IntentDocument, RefundDocument
from shared.psp.stripe_look_ups import StripeLookUps
from shared.psp.stripe_money import to_stripe
from shared.psp.stripe_refusals import is_final
from shared.psp.stripe_wire import Reply, StripeWire

NO_VERDICT = Unanswered("got no verdict")
NOT_DONE = Unanswered("not done")


class StripeReturns:
    """Voids and refunds of one account."""

    def __init__(self, wire: StripeWire, look_ups: StripeLookUps) -> None:
        self._wire, self._look_ups = wire, look_ups

    def void(self, reference: str) -> ReturnOutcome:
        """Cancel an open charge; Captured when only a refund helps."""
        reply = self._wire.ask(lambda client: client.v1.payment_intents.cancel(reference))
        if _is_cancelled(reply, reference):
            return Returned(reference, refunded=False)
        if not is_final(reply):
            return NO_VERDICT
        intent = self._look_ups.intent(reference)
        if isinstance(intent, IntentDocument) and intent.may_be_tried_again:
            return self._close_page(reference)  # Stripe cancels such a charge with its session alone.
        return _held(intent, reference)

    def refund(self, reference: str, money: Money, psp_key: str) -> ReturnOutcome:
        """Give *money* back, or what is left; Captured when there never was that much to give."""
        amount = to_stripe(money)
        if amount is None:
            return NOT_DONE
        reply = self._ask_back(reference, amount, psp_key, psp_key)
        if not is_final(reply):
            return _given(reply, reference, amount, money.currency)
        intent = self._look_ups.intent(reference)
        left = intent.amount - intent.refunded if isinstance(intent, IntentDocument) and intent.refunded else 0
        if not 0 < left < amount:
            return _held(intent, reference)
        # Another request, so under a key of its own: the merchant gave a part back beside us.
        rest = self._ask_back(reference, left, psp_key, f"{psp_key}-{left}")
        return _given(rest, reference, left, money.currency)

    def _ask_back(self, reference: str, amount: int, asked_as: str, key: str) -> Reply:
        return self._wire.ask(
            lambda client: client.v1.refunds.create(
                {"payment_intent": reference, "amount": amount, "metadata": {REFUND_KEY: asked_as}},
                {"idempotency_key": key},
            )
        )

    def _close_page(self, reference: str) -> ReturnOutcome:
        session = self._look_ups.session(reference)
        if session is None:
            return NO_VERDICT
        self._wire.ask(lambda client: client.v1.checkout.sessions.expire(session.id))
        intent = self._look_ups.intent(reference)  # Whatever that said: the shopper may have been faster.
        return _held(intent, reference)


def _is_cancelled(reply: Reply, reference: str) -> bool:
    if not isinstance(reply, Answer) or reply.status != 200:
        return False
    intent = parsed(IntentDocument, reply.body)
    return intent is not None and (intent.id, intent.status) == (reference, "canceled")


def _held(intent: object, reference: str) -> ReturnOutcome:
    """What a charge that could not be given back as asked holds now."""
    if not isinstance(intent, IntentDocument):
        return NO_VERDICT
    match intent.verdict():
        case Returned(refunded=refunded):
            return Returned(reference, refunded=refunded)
        case Declined():
            return Returned(reference, refunded=False)
        case Captured(money=money):
            return Captured(reference, money)
        case _:
            return NOT_DONE


def _given(reply: Reply, reference: str, amount: int, currency: str) -> ReturnOutcome:
    """What the answer to a refund says. A pending one left our balance; should its bank send it back, an event tells
    (stripe_events.py)."""
    refund = parsed(RefundDocument, reply.body) if isinstance(reply, Answer) and reply.status == 200 else None
    if refund is None:
        return NO_VERDICT
    if (refund.payment_intent, refund.amount, refund.currency.upper()) != (reference, amount, currency):
        return NO_VERDICT
    return Returned(reference, refunded=True) if refund.status in ("succeeded", "pending") else NOT_DONE
