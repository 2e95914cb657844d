"""The adapter of Stripe: the port's verbs as calls of its API, made by its official library over our own client.

What Stripe's contract lets us conclude, beyond the plain answers:
A charge is a PaymentIntent that is made and confirmed in one call, under our key. Stripe repeats the first answer to
that key for a day at least, whatever it was, a 500 included. Before that call nothing can be charged, so what goes
wrong earlier (no customer, no method) is NotSent, unless another request under the same key is at it.
Money counts only where amount, currency and both our names for the attempt are ours.
Credentials: apiKey, webhookSecret, and webhookSecretBefore while one is rotated; bankTransferCountry where transfers in
euros are not to go to an account in Germany.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from shared.domain.cards import Card
from shared.domain.money import Money
from shared.domain.outcomes import (
    Captured,
    Challenge,
    Challenged,
    Declined,
    DeclineReason,
    KeepOutcome,
    LookUpOutcome,
    NotSent,
    PaymentOutcome,
    Returned,
    ReturnOutcome,
    Unanswered,
)
from shared.psp import stripe_asks as asks
from shared.psp.documents import parsed
from shared.psp.http import Answer, Http
from shared.psp.port import Account, Capabilities, ChargePage, ChargeQuery, ChargeRequest, PspEvent
from shared.psp.stripe_answers import (
    MERCHANT_REFERENCE,
    PSP_KEY,
    CustomerDocument,
    IntentDocument,
    MethodDocument,
    SessionDocument,
)
from shared.psp.stripe_events import read_event
from shared.psp.stripe_look_ups import StripeLookUps
from shared.psp.stripe_methods import StripeMethods, named
from shared.psp.stripe_money import from_stripe, to_stripe
from shared.psp.stripe_refusals import IN_PROGRESS, MISMATCH, OTHER_PARAMETERS, error_of, not_done
from shared.psp.stripe_returns import StripeReturns
from shared.psp.stripe_wire import Reply, StripeWire

KEY_LIFETIME: Final = timedelta(hours=24)
"""Stripe keeps a key for at least as long."""
LONGEST_PROCESSING: Final = timedelta(seconds=80 + 60)
"""Stripe's own libraries wait 80 s for an answer, so a request may run so long; and a charge may take a minute more to
come into the index that a look-up by our key asks."""
CALLS_PER_S: Final = 100.0
TEST_CALLS_PER_S: Final = 25.0
"""What Stripe lets an account make in live mode and in its sandboxes (docs.stripe.com/rate-limits)."""
TEST_KEYS: Final = ("sk_test_", "rk_test_")
TRANSFER_TO: Final = "DE"


class StripePsp:
    """One account at Stripe."""

    def __init__(self, account: Account, http: Http) -> None:
        self._account, self._http = account, http
        self._wire = StripeWire(account, http)
        self._methods = StripeMethods(self._wire)
        self._look_ups = StripeLookUps(self._wire)
        self._returns = StripeReturns(self._wire, self._look_ups)

    @property
    def capabilities(self) -> Capabilities:
        """What this account can do. A capture cannot be cancelled, only refunded."""
        return Capabilities(
            self._account.channels,
            remembers_declines=True,
            key_lifetime=KEY_LIFETIME,
            longest_processing=LONGEST_PROCESSING,
            proves_absence=False,
            voids=False,
            calls_per_s=TEST_CALLS_PER_S if self._account.credentials["apiKey"].startswith(TEST_KEYS) else CALLS_PER_S,
            calls_for_card=1,
            calls_for_keeping=1,
        )

    def charge(self, request: ChargeRequest) -> PaymentOutcome:
        """Take the amount of *request*; an answer about anything else does not count."""
        amount = to_stripe(request.money)
        if amount is None:
            return Declined(DeclineReason.GENERIC)
        with self._http.one_deadline():
            ready = self._made_ready(request)
            if not isinstance(ready, _Ready):
                return ready
            if asks.is_on_page(request):
                return _on_page(request, self._open_page(request, amount, ready))
            return _judged(request, self._make_intent(request, amount, ready))

    def look_up(self, query: ChargeQuery) -> LookUpOutcome:
        """What Stripe knows of one attempt, by its reference if known, else by our key."""
        with self._http.one_deadline():
            return self._look_ups.look_up(query)

    def charges_since(self, since: datetime, *, after: str | None = None) -> ChargePage | Unanswered:
        """A page of this account's charges; the pages come newest first, as Stripe lists them."""
        return self._look_ups.page(since, after)

    def void(self, reference: str, *, psp_key: str) -> ReturnOutcome:  # noqa: ARG002 - cancelling twice is cancelling once.
        """Cancel a charge that is not captured; Captured when only a refund helps."""
        with self._http.one_deadline():
            return self._returns.void(reference)

    def refund(self, reference: str, money: Money, *, psp_key: str) -> ReturnOutcome:
        """Give *money* back, or what is left; Captured when there never was that much to give."""
        with self._http.one_deadline():
            return self._returns.refund(reference, money, psp_key)

    def keep_card(self, card: Card, *, customer_urn: str, psp_key: str) -> KeepOutcome:
        """Tokenize a card without charging it."""
        with self._http.one_deadline():
            return self._methods.keep(card, customer_urn, psp_key)

    def forget_token(self, token: str) -> bool:
        """True once no customer of the account has it."""
        with self._http.one_deadline():
            return self._methods.forget(token)

    def read_event(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> PspEvent:
        """Verify a webhook and say what it tells; raises BadSignature. Signed but not understood is OTHER."""
        names = ("webhookSecret", "webhookSecretBefore")
        secrets = [self._account.credentials[name] for name in names if name in self._account.credentials]
        return read_event(headers, body, secrets=secrets, now=now)

    def _made_ready(self, request: ChargeRequest) -> _Ready | Declined | NotSent | Unanswered:
        """The customer and the card's method that the charge needs."""
        ready = _Ready()
        if asks.needs_customer(request):
            customer = self._methods.customer(request.customer_urn)
            if not isinstance(customer, CustomerDocument):
                return NotSent(customer.why) if isinstance(customer, Unanswered) else customer
            ready = replace(ready, customer=customer.id)
        if request.card is not None and request.token is None:
            method = self._methods.of_card(request.card, request.psp_key)
            if not isinstance(method, MethodDocument):
                return _before_the_charge(method)
            ready = replace(ready, method=method.id)
        return ready

    def _make_intent(self, request: ChargeRequest, amount: int, ready: _Ready) -> Reply:
        transfer_to = self._account.credentials.get("bankTransferCountry", TRANSFER_TO)
        params = asks.intent(request, amount, method=ready.method, customer=ready.customer, transfer_to=transfer_to)
        return self._wire.ask(
            lambda client: client.v1.payment_intents.create(params, {"idempotency_key": request.psp_key})
        )

    def _open_page(self, request: ChargeRequest, amount: int, ready: _Ready) -> Reply:
        params = asks.session(request, amount, customer=ready.customer)
        return self._wire.ask(
            lambda client: client.v1.checkout.sessions.create(
                params, {"idempotency_key": request.psp_key, "stripe_version": asks.VERSION_WITH_INTENT}
            )
        )


@dataclass(frozen=True, slots=True)
class _Ready:
    """What was made at Stripe for a charge before it is asked for."""

    customer: str | None = None
    method: str | None = None


def _before_the_charge(outcome: Declined | NotSent | Unanswered) -> Declined | NotSent | Unanswered:
    """Why no charge was asked for. An answer that is missing then leaves no doubt about money; another request under
    the same key does."""
    if isinstance(outcome, Unanswered) and outcome not in (IN_PROGRESS, OTHER_PARAMETERS):
        return NotSent(outcome.why)
    return outcome


def _judged(request: ChargeRequest, reply: Reply) -> PaymentOutcome:
    """What the answer to a charge says, if it is about this one."""
    if isinstance(reply, Answer) and reply.status in (400, 402):
        return _refused(request, reply)
    intent = parsed(IntentDocument, reply.body) if isinstance(reply, Answer) and reply.status == 200 else None
    if intent is None:
        return not_done(reply)
    if not _is_ours(request, intent):
        return MISMATCH
    verdict = intent.verdict()
    match verdict:
        case Returned():
            return Unanswered("money went back already")
        case Captured(kept=kept) if kept is not None:
            return replace(verdict, kept=named(kept, request.card))
        case _:
            return verdict


def _refused(request: ChargeRequest, reply: Answer) -> PaymentOutcome:
    """What a no says, and of which charge; a charge that does not stand as the no has it is in doubt."""
    said = not_done(reply)
    error = error_of(reply)
    intent = error.payment_intent if error else None
    if intent is None or not isinstance(said, Declined):
        return said
    if not _is_ours(request, intent):
        return MISMATCH
    if intent.status != "requires_payment_method":
        return Unanswered("refused, but the charge stands otherwise")
    verdict = intent.verdict()
    return verdict if isinstance(verdict, Declined) else replace(said, reference=intent.id)


def _is_ours(request: ChargeRequest, intent: IntentDocument) -> bool:
    return intent.is_about(request.psp_key, request.merchant_reference) and intent.money() == request.money


def _on_page(request: ChargeRequest, reply: Reply) -> PaymentOutcome:
    """Where the shopper is sent, if the page is about this charge."""
    session = parsed(SessionDocument, reply.body) if isinstance(reply, Answer) and reply.status == 200 else None
    if session is None or session.payment_intent is None or session.amount_total is None or session.currency is None:
        return not_done(reply)
    names = (session.metadata.get(PSP_KEY), session.metadata.get(MERCHANT_REFERENCE))
    money = from_stripe(session.amount_total, session.currency)
    if names != (request.psp_key, request.merchant_reference) or money != request.money:
        return MISMATCH
    return Challenged(session.payment_intent, Challenge(session.url))
