"""The adapter of Adyen: the port's verbs as calls of its Checkout API, by its official library.

Adyen cannot be asked what became of a payment and shows no list of them (its books are reports). An unanswered request
is sent again under its key, which Adyen answers with the first result for at least seven days, or its notification
tells. What a shopper's browser brings back from a page finishes the payment, so that may be asked with it.

A void is a reversal: a cancel where the money was not captured yet, a full refund where it was; between the two lie
seconds that nobody can see from here. Both it and a refund are only taken in hand; a notification says what came of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

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
    Pending,
    ReturnOutcome,
    Unanswered,
)
from shared.psp import adyen_events, adyen_requests
from shared.psp.adyen_answers import (
    MISMATCH,
    Asked,
    ErrorDocument,
    LinkDocument,
    ModificationDocument,
    not_done,
    verdict_of,
)
from shared.psp.adyen_money import to_adyen
from shared.psp.adyen_refusals import GONE
from shared.psp.adyen_wire import AdyenWire, Reply, key_of
from shared.psp.documents import parsed
from shared.psp.http import Answer, Http
from shared.psp.port import Account, Capabilities, ChargePage, ChargeQuery, ChargeRequest, PspEvent

KEY_LIFETIME: Final = timedelta(days=7)
"""Keys are kept for at least that long (docs.adyen.com, API idempotency)."""
LONGEST_PROCESSING: Final = timedelta(seconds=60)
"""Past the read timeout of Adyen's own library (30 s), with as much again. Absence is never proven here; whoever says
that they saw none in its console is believed after that long."""
TOLD_WITHIN: Final = timedelta(days=3)
"""How long what became of a return may take: banks answer refunds within days, and not at weekends."""


class AdyenPsp:
    """One merchant account at Adyen. Credentials: apiKey, merchantAccount, hmacKey, hmacKeyBefore while one is
    rotated, and countryCode where the shop sells to one country (Klarna wants it)."""

    def __init__(self, account: Account, http: Http) -> None:
        self._account = account
        self._wire = AdyenWire(account, http)
        self._capabilities = Capabilities(
            account.channels,
            remembers_declines=True,
            key_lifetime=KEY_LIFETIME,
            longest_processing=LONGEST_PROCESSING,
            looks_up=False,
            proves_absence=False,
            lists_charges=False,
            brings=frozenset({"redirectResult"}),
            acknowledges_with="[accepted]",
        )

    @property
    def capabilities(self) -> Capabilities:
        """What this account can do."""
        return self._capabilities

    def charge(self, request: ChargeRequest) -> PaymentOutcome:
        """Take the amount of *request*; an answer about anything else does not count."""
        amount = to_adyen(request.money)
        if amount is None:
            return Declined(DeclineReason.GENERIC)
        asked = Asked(_reference(request), request.money, request.channel, request.card)
        key = key_of(request.psp_key)
        if adyen_requests.needs_link(request):
            body = adyen_requests.link(self._account, request, amount)
            return _linked(self._wire.call(self._wire.links.payment_links, body, idempotency_key=key), asked)
        body = adyen_requests.payment(self._account, request, amount)
        return verdict_of(self._wire.call(self._wire.payments.payments, body, idempotency_key=key), asked)

    def look_up(self, query: ChargeQuery) -> LookUpOutcome:
        """What Adyen makes of what the shopper's browser brought back; without that it cannot be asked.

        A result it will not take leaves the payment where it was: with the shopper.
        """
        brought = query.brought.get("redirectResult")
        if not brought:
            return Unanswered("cannot be asked; its notification tells")
        key = key_of(adyen_requests.details_key(query.psp_key, brought))
        details = adyen_requests.details(brought)
        reply = self._wire.call(self._wire.payments.payments_details, details, idempotency_key=key)
        verdict = verdict_of(reply, Asked(_reference(query), None))
        if isinstance(verdict, Declined) and verdict.reference is None:
            return Challenged(query.reference, Challenge(None))
        return Unanswered(verdict.why) if isinstance(verdict, NotSent) else verdict

    def charges_since(self, since: datetime, *, after: str | None = None) -> ChargePage | Unanswered:  # noqa: ARG002
        """Never a page: Adyen's books are reports."""
        return Unanswered("Adyen lists no payments; compare its settlement reports")

    def void(self, reference: str, *, psp_key: str) -> ReturnOutcome:
        """Ask for a cancel, or a full refund where it is too late for one."""
        verb = self._wire.modifications.refund_or_cancel_payment
        return self._give_back(verb, reference, adyen_requests.reversal(self._account, psp_key), psp_key)

    def refund(self, reference: str, money: Money, *, psp_key: str) -> ReturnOutcome:
        """Ask for *money* back; what there never was is told later, too."""
        amount = to_adyen(money)
        if amount is None:
            return Unanswered("no amount of Adyen's")
        verb = self._wire.modifications.refund_captured_payment
        return self._give_back(verb, reference, adyen_requests.refund(self._account, psp_key, amount), psp_key)

    def keep_card(self, card: Card, *, customer_urn: str, psp_key: str) -> KeepOutcome:
        """Store a card by a payment of nothing; one that wants a challenge for that is not kept."""
        body = adyen_requests.card_check(self._account, card, customer_urn=customer_urn, psp_key=psp_key)
        reply = self._wire.call(self._wire.payments.payments, body, idempotency_key=key_of(psp_key))
        match verdict_of(reply, Asked(psp_key, None, card=card)):
            case Captured(kept=kept):
                return kept or Unanswered("answer names no stored method")
            case Challenged():
                return Declined(DeclineReason.AUTHENTICATION_FAILED)
            case Declined(reason=reason):
                return Declined(reason)
            case NotSent() | Unanswered() as other:
                return other
            case Pending():
                return Unanswered("a card is not kept yet")

    def forget_token(self, token: str) -> bool:
        """True once Adyen no longer has it: it removed it now, or knew nothing of it."""
        stored_id, _, shopper = token.partition("@")
        asked = {"merchantAccount": self._account.credentials["merchantAccount"], "shopperReference": shopper}
        verb = self._wire.recurring.delete_token_for_stored_payment_details
        reply = self._wire.call(verb, _plain(stored_id), query_parameters={n: _plain(v) for n, v in asked.items()})
        if not isinstance(reply, Answer):
            return False
        error = parsed(ErrorDocument, reply.body)
        is_gone = error is not None and error.status == reply.status and error.error_code in GONE
        return is_gone or reply.status == 204

    def read_event(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> PspEvent:  # noqa: ARG002
        """Verify a notification and say what it tells; raises BadSignature. All it has is in its body, and no time."""
        credentials = self._account.credentials
        secrets = adyen_events.secrets_of(credentials)
        return adyen_events.read(body, secrets=secrets, merchant_account=credentials["merchantAccount"])

    def _give_back(self, verb: Any, reference: str, body: dict[str, Any], psp_key: str) -> ReturnOutcome:
        reply = self._wire.call(verb, body, _plain(reference), idempotency_key=key_of(psp_key))
        if not isinstance(reply, Answer):
            return Unanswered(reply.why)
        if reply.status != 201:
            return Unanswered(f"status {reply.status}")
        taken = parsed(ModificationDocument, reply.body)
        if taken is None or taken.payment_psp_reference != reference:
            return MISMATCH
        named = None if taken.amount is None else taken.amount.model_dump()
        return Pending(reference, TOLD_WITHIN) if named == body.get("amount") else MISMATCH


def _reference(asked: ChargeRequest | ChargeQuery) -> str:
    return adyen_requests.reference_of(asked.merchant_reference, asked.psp_key)


def _plain(text: str) -> str:
    return quote(text, safe="")  # The library puts it into the address as it is.


def _linked(reply: Reply, asked: Asked) -> PaymentOutcome:
    """What the answer to a link for *asked* means: the shopper goes there."""
    if not isinstance(reply, Answer) or reply.status != 201:
        return not_done(reply)
    link = parsed(LinkDocument, reply.body)
    if link is None:
        return Unanswered("answer is malformed")
    is_ours = link.reference == asked.reference and link.amount.money() == asked.money
    return Challenged(None, Challenge(link.url)) if is_ours else MISMATCH
