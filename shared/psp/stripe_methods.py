"""Customers and their payment methods at Stripe: made, kept, forgotten; no money moves here.

A customer is made once a customer URN, by a key of its own: asking Stripe's search first would cost a call and a share
of the 20 searches a second that look-ups need. When Stripe forgets the key, after a day or more, the next card of the
same shopper gets another Customer; nothing rests on there being one, as a token names the Customer it belongs to.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TypeVar

from shared.domain.cards import Card, mask
from shared.domain.outcomes import Declined, KeepOutcome, KeptMethod, NotSent, Unanswered
from shared.psp import stripe_asks as asks
from shared.psp.documents import parsed
from shared.psp.http import Answer
from shared.psp.stripe_answers import CustomerDocument, MethodDocument
from shared.psp.stripe_refusals import is_absent, not_done
from shared.psp.stripe_wire import Reply, StripeWire

NotMade = Declined | NotSent | Unanswered
D = TypeVar("D", CustomerDocument, MethodDocument)


class StripeMethods:
    """What one account keeps of its customers."""

    def __init__(self, wire: StripeWire) -> None:
        self._wire = wire

    def customer(self, customer_urn: str) -> CustomerDocument | NotMade:
        """The Customer of *customer_urn*."""
        key = f"customer-{hashlib.sha256(customer_urn.encode()).hexdigest()}"
        reply = self._wire.ask(
            lambda client: client.v1.customers.create(
                {"metadata": {"customerUrn": customer_urn}}, {"idempotency_key": key}
            )
        )
        return _made(CustomerDocument, reply)

    def of_card(self, card: Card, psp_key: str) -> MethodDocument | NotMade:
        """The PaymentMethod of *card* that goes with *psp_key*: the same for a repeat, so that its charge is, too."""
        reply = self._wire.ask(
            lambda client: client.v1.payment_methods.create(
                asks.method_of(card), {"idempotency_key": f"{psp_key}-card"}
            ),
            card=card,
        )
        return _made(MethodDocument, reply)

    def keep(self, card: Card, customer_urn: str, psp_key: str) -> KeepOutcome:
        """Attach *card* to its customer; Stripe asks the issuer whether the card is good."""
        customer = self.customer(customer_urn)
        if not isinstance(customer, CustomerDocument):
            return customer
        method = self.of_card(card, psp_key)
        if not isinstance(method, MethodDocument):
            return method
        reply = self._wire.ask(
            lambda client: client.v1.payment_methods.attach(
                method.id, {"customer": customer.id}, {"idempotency_key": f"{psp_key}-attach"}
            )
        )
        attached = _made(MethodDocument, reply)
        if not isinstance(attached, MethodDocument):
            return attached
        if (attached.id, attached.customer) != (method.id, customer.id):
            return Unanswered("answer does not match")
        return named(attached.kept_for(customer.id), card)

    def forget(self, token: str) -> bool:
        """True once no customer has the method any more; a second detaching is refused, so then it is looked at."""
        _, method = asks.split(token)
        reply = self._wire.ask(lambda client: client.v1.payment_methods.detach(method))
        if not isinstance(reply, Answer):
            return False
        if reply.status != 200:
            reply = self._wire.ask(lambda client: client.v1.payment_methods.retrieve(method))
        now = _made(MethodDocument, reply)
        return is_absent(reply) or (isinstance(now, MethodDocument) and (now.id, now.customer) == (method, None))


def named(kept: KeptMethod, card: Card | None) -> KeptMethod:
    """*kept* with the mask of the card itself, where it is at hand: Stripe tells the last four digits only."""
    if card is None or kept.masked_number is None or not card.number.endswith(kept.masked_number[-4:]):
        return kept
    return replace(kept, masked_number=mask(card.number))


def _made(model: type[D], reply: Reply) -> D | NotMade:
    document = parsed(model, reply.body) if isinstance(reply, Answer) and reply.status == 200 else None
    return not_done(reply) if document is None else document
