"""The adapter of our sandbox PSP (deploy/sandbox): the port's verbs as its HTTP calls.

What its contract lets us conclude, beyond the plain answers:
429 and 401 are said before anything is started (NotSent). 400 is a final no to this very request. 409 in_progress,
422 key_reused and every 5xx say nothing about money (Unanswered). Whatever would be believed rests on the sandbox's own
word for it (invalid_request, unauthorized, too_many_requests, not_found), never on a bare status any server can give.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote, urlencode

from shared.domain.cards import Card
from shared.domain.money import Money
from shared.domain.outcomes import (
    PACED,
    Absent,
    Captured,
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
from shared.psp.documents import parsed
from shared.psp.http import Answer, Http
from shared.psp.port import Account, Capabilities, ChargePage, ChargeQuery, ChargeRequest, EventKind, PspEvent
from shared.psp.sandbox_answers import (
    ChargeDocument,
    ChargesDocument,
    ErrorDocument,
    EventDocument,
    KeepDocument,
    PageDocument,
    reason_of,
)
from shared.psp.standard_webhooks import verified_id

KEY_LIFETIME: Final = timedelta(hours=24)
LONGEST_PROCESSING: Final = timedelta(seconds=30)
"""The sandbox promises it: no fault setting can hold a call longer before the ledger is written."""
_Reply = Answer | NotSent | Unanswered
MISMATCH: Final = Unanswered("answer does not match")


class SandboxPsp:
    """One account at the sandbox. Credentials: apiKey, webhookSecret, and webhookSecretBefore while one is rotated."""

    def __init__(self, account: Account, http: Http, *, remembers_declines: bool = True) -> None:
        self._account = account
        self._http = http
        self._capabilities = Capabilities(account.channels, remembers_declines, KEY_LIFETIME, LONGEST_PROCESSING)

    @property
    def capabilities(self) -> Capabilities:
        """What this account can do."""
        return self._capabilities

    def charge(self, request: ChargeRequest) -> PaymentOutcome:
        """Take the amount of *request*; an answer about anything else does not count."""
        reply = self._call("POST", "/v1/charges", key=request.psp_key, body=_charge_body(request))
        if not isinstance(reply, Answer) or reply.status != 200:
            return _not_done(reply)
        charge = parsed(ChargeDocument, reply.body)
        if charge is None:
            return Unanswered("answer is malformed")
        if not _is_about(charge, request.merchant_reference, request.psp_key) or charge.money() != request.money:
            return MISMATCH
        verdict = charge.verdict()
        return Unanswered("money went back already") if isinstance(verdict, Returned) else verdict

    def look_up(self, query: ChargeQuery) -> LookUpOutcome:
        """What the sandbox knows of one attempt, by its reference if known, else among those of our reference."""
        return self._look_up_one(query, query.reference) if query.reference else self._look_up_ours(query)

    def charges_since(self, since: datetime, *, after: str | None = None) -> ChargePage | Unanswered:
        """A page of this account's charges."""
        asked = {"createdSince": since.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")}
        reply = self._call("GET", f"/v1/charges?{urlencode(asked | ({'after': after} if after else {}))}")
        found = parsed(PageDocument, reply.body) if isinstance(reply, Answer) and reply.status == 200 else None
        return _silence(reply, "listing got no answer") if found is None else found.page()

    def void(self, reference: str, *, psp_key: str) -> ReturnOutcome:
        """Cancel an open or captured charge; Captured when it is too late and only a refund helps."""
        return _went_back(self._ask_back(reference, "void", psp_key, {}), reference)

    def refund(self, reference: str, money: Money, *, psp_key: str) -> ReturnOutcome:
        """Give *money* back, or what is left; Captured when there never was that much to give."""
        reply = self._ask_back(reference, "refund", psp_key, {"amountMinor": money.amount_minor})
        charge = _refused_charge(reply)
        left = charge.amount_minor - charge.refunded_minor if charge and charge.refunded_minor else 0
        if not 0 < left < money.amount_minor:
            return _went_back(reply, reference, money.amount_minor)
        # Another request, so under a key of its own: the merchant gave a part back beside us.
        rest = self._ask_back(reference, "refund", f"{psp_key}-{left}", {"amountMinor": left})
        return _went_back(rest, reference, left)

    def keep_card(self, card: Card, *, customer_urn: str, psp_key: str) -> KeepOutcome:
        """Tokenize a card without charging it."""
        body = {"card": _card_body(card), "customer": {"urn": customer_urn}}
        reply = self._call("POST", "/v1/tokens", key=psp_key, body=body)
        if not isinstance(reply, Answer) or reply.status != 200:
            return _not_done(reply)
        answer = parsed(KeepDocument, reply.body)
        if answer and answer.kept:
            return answer.kept.method()
        if answer and answer.decline_reason:
            return Declined(reason_of(answer.decline_reason))
        return Unanswered("answer is malformed")

    def forget_token(self, token: str) -> bool:
        """True once the sandbox no longer has it: it said so now, or it knew nothing of it."""
        reply = self._call("DELETE", f"/v1/tokens/{quote(token, safe='')}")
        return isinstance(reply, Answer) and (reply.status == 200 or _is_absent(reply))

    def read_event(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> PspEvent:
        """Verify a webhook and say what it tells; raises BadSignature. Signed but not understood is OTHER."""
        names = ("webhookSecret", "webhookSecretBefore")
        secrets = [self._account.credentials[name] for name in names if name in self._account.credentials]
        event_id = verified_id(headers, body, secrets=secrets, now=now)
        event = parsed(EventDocument, body)
        if event is None or not event.type.startswith("charge."):
            return PspEvent(event_id, EventKind.OTHER, None, None, None)
        charge = event.charge
        return PspEvent(event_id, EventKind.CHARGE, charge.merchant_reference, charge.idempotency_key, charge.verdict())

    def _look_up_one(self, query: ChargeQuery, reference: str) -> LookUpOutcome:
        reply = self._call("GET", f"/v1/charges/{quote(reference, safe='')}")
        if isinstance(reply, Answer) and _is_absent(reply):
            return Absent()
        charge = parsed(ChargeDocument, reply.body) if isinstance(reply, Answer) and reply.status == 200 else None
        if charge is None:
            return _silence(reply, "look-up got no answer")
        same = charge.psp_reference == reference and charge.merchant_reference == query.merchant_reference
        return charge.verdict() if same else MISMATCH

    def _look_up_ours(self, query: ChargeQuery) -> LookUpOutcome:
        reply = self._call("GET", f"/v1/charges?{urlencode({'merchantReference': query.merchant_reference})}")
        found = parsed(ChargesDocument, reply.body) if isinstance(reply, Answer) and reply.status == 200 else None
        if found is None:
            return _silence(reply, "look-up got no answer")
        if any(charge.merchant_reference != query.merchant_reference for charge in found.charges):
            return MISMATCH
        attempts = [charge for charge in found.charges if charge.idempotency_key == query.psp_key]
        # A PSP that forgets declines can hold several charges under one key: the one with money decides.
        attempts.sort(key=lambda charge: _WEIGHT[charge.state])
        return attempts[0].verdict() if attempts else Absent()

    def _ask_back(self, reference: str, verb: str, psp_key: str, body: dict[str, Any]) -> _Reply:
        return self._call("POST", f"/v1/charges/{quote(reference, safe='')}/{verb}", key=psp_key, body=body)

    def _call(self, method: str, path: str, *, key: str | None = None, body: dict[str, Any] | None = None) -> _Reply:
        headers = {"Authorization": f"Bearer {self._account.credentials['apiKey']}"}
        if key is not None:
            headers["Idempotency-Key"] = key
        content = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            content = json.dumps(body).encode()
        return self._http.call(method, self._account.base_url.rstrip("/") + path, headers=headers, body=content)


_WEIGHT: Final = {"captured": 0, "pending": 1, "challenge": 2, "refunded": 3, "voided": 4, "declined": 5}


def _not_done(reply: _Reply) -> Declined | NotSent | Unanswered:
    """What an answer other than 200 means for a charge or a card to keep."""
    if not isinstance(reply, Answer):
        return reply
    match reply.status, _code(reply):
        case 400, "invalid_request":
            return Declined(DeclineReason.GENERIC)
        case 401, "unauthorized":
            return NotSent("account refused")
        case 409, _:
            return Unanswered("in progress")
        case 422, _:
            return Unanswered("key used with other parameters")
        case 429, "too_many_requests":
            return NotSent(PACED, reply.retry_after)
        case status, _:
            return Unanswered(f"status {status}")


def _silence(reply: _Reply, why: str) -> Unanswered:
    """What an answer that tells nothing is: put off where the sandbox said so, else *why*."""
    if isinstance(reply, Answer) and reply.status == 429 and _code(reply) == "too_many_requests":
        return Unanswered(PACED, reply.retry_after)
    return Unanswered(why)


def _is_about(charge: ChargeDocument, merchant_reference: str, psp_key: str) -> bool:
    return charge.merchant_reference == merchant_reference and charge.idempotency_key == psp_key


def _refused_charge(reply: _Reply) -> ChargeDocument | None:
    """The charge that cannot be given back as asked, as it stands."""
    refusal = parsed(ErrorDocument, reply.body) if isinstance(reply, Answer) and reply.status == 409 else None
    return refusal.charge if refusal else None


def _went_back(reply: _Reply, reference: str, amount_minor: int | None = None) -> ReturnOutcome:
    """What the answer to a void, or to a refund of *amount_minor*, says of the charge *reference*."""
    if not isinstance(reply, Answer):
        return Unanswered(reply.why)
    if reply.status == 200:
        charge = parsed(ChargeDocument, reply.body)
        given = charge is not None and _gave_back(charge, amount_minor)
    else:
        charge = _refused_charge(reply)
        given = charge is not None and _gave_back(charge, None)
    if charge is None or charge.psp_reference != reference:
        return _silence(reply, "got no verdict")
    if given:
        return Returned(reference, refunded=charge.refunded_minor > 0)
    return Captured(reference, charge.money()) if charge.state == "captured" else Unanswered("not done")


def _gave_back(charge: ChargeDocument, amount_minor: int | None) -> bool:
    """Whether *charge* says that its money went back: *amount_minor* of it, or all."""
    if amount_minor is None:
        return charge.state in ("voided", "refunded", "declined")
    return charge.refunded_minor >= amount_minor


def _is_absent(reply: Answer) -> bool:
    return reply.status == 404 and _code(reply) == "not_found"


def _code(reply: Answer) -> str | None:
    """The sandbox's own word for why not; None if this is no document of its own."""
    refusal = parsed(ErrorDocument, reply.body)
    return refusal.error.code if refusal else None


def _charge_body(request: ChargeRequest) -> dict[str, Any]:
    return {
        "merchantReference": request.merchant_reference,
        "amountMinor": request.money.amount_minor,
        "currency": request.money.currency,
        "channel": request.channel.value,
        "customer": {"urn": request.customer_urn, "ipAddress": request.ip_address},
        "returnUrl": request.return_url,
        "card": _card_body(request.card) if request.card else None,
        "token": request.token,
        "keepMethod": request.keep_method,
    }


def _card_body(card: Card) -> dict[str, str]:
    return {
        "number": card.number,
        "expireYear": card.expire_year,
        "expireMonth": card.expire_month,
        "cvc": card.cvc,
        "holderName": card.holder_name,
    }
