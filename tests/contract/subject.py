"""What the contract suite needs of any adapter: the adapter, and ways to make its PSP do things.

A new adapter brings a Subject of its own and gets every test of this folder that asks for `subject`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Any, Final, Protocol
from urllib.parse import parse_qs, urlsplit

from standardwebhooks import Webhook

from shared.domain.cards import Card
from shared.domain.money import Money
from shared.domain.outcomes import Captured, Challenge, Challenged, DeclineReason, LookUpOutcome, ReturnOutcome
from shared.psp.port import Account, Channel, ChargeQuery, ChargeRequest, Psp
from tests.support.psp import Receiver, Sandbox

SUCCESS: Final = "4111111111111111"
RETURN_URL: Final = "https://shop.example/return?state=a%2Bb.c&n=1"


class Subject(Protocol):
    """One adapter on trial."""

    psp: Psp
    account: Account
    hooks: Receiver
    cancelled: DeclineReason
    """What it says of a shopper who leaves a 3DS challenge."""
    asks_for_account: bool
    """Whether a direct debit begins with a page of the PSP that asks for the account."""
    tells_pending_transfer: bool
    """Whether an event tells that a shopper took the details of a transfer."""
    event_names_kept: bool
    """Whether an event of a capture tells what was kept with it; else a look-up does."""
    signs_the_body: bool
    """Whether an event is signed as a whole, by its headers; else some fields of it are."""

    def shopper(self, challenge: Challenge, decision: str) -> str:
        """Approve, decline or cancel on the PSP's page; where the browser is sent then."""
        ...

    def goes_wrong(self, kind: str) -> None:
        """Let the PSP have a trouble of this name with the next charge."""
        ...

    def live_captures(self) -> list[tuple[str, int, str]]:
        """Merchant reference, amount and currency of every capture the PSP holds for this account."""
        ...

    def returned_minor(self) -> int:
        """What the PSP gave back of all charges of this account, by its own books."""
        ...

    def sign(self, body: str, *, event_id: str, now: datetime) -> Mapping[str, str]:
        """The headers under which the PSP sends *body* to this account."""
        ...

    def verdict(self, request: ChargeRequest) -> LookUpOutcome:
        """What has become of a payment, as the steps learn it: asked, or told by the last event."""
        ...


@dataclass(slots=True)
class SandboxSubject:
    """The sandbox adapter on the real sandbox process."""

    psp: Psp
    account: Account
    hooks: Receiver
    sandbox: Sandbox = field(repr=False)
    cancelled: DeclineReason = DeclineReason.SHOPPER_CANCELLED
    asks_for_account: bool = False
    tells_pending_transfer: bool = True
    event_names_kept: bool = True
    signs_the_body: bool = True

    def shopper(self, challenge: Challenge, decision: str) -> str:
        """Press a button of the hosted page."""
        assert challenge.redirect_url is not None
        answer = self.sandbox.click(challenge.redirect_url, decision)
        assert answer.status_code == 303
        return answer.headers["location"]

    def goes_wrong(self, kind: str) -> None:
        """One of the sandbox's faults."""
        self.sandbox.set_faults(next=[{"kind": kind}])

    def live_captures(self) -> list[tuple[str, int, str]]:
        """From GET /ledger."""
        rows = self.sandbox.charges(self.account)
        return [(r["merchantReference"], r["amountMinor"], r["currency"]) for r in rows if r["state"] == "captured"]

    def returned_minor(self) -> int:
        """From GET /ledger."""
        return sum(row["refundedMinor"] for row in self.sandbox.charges(self.account))

    def sign(self, body: str, *, event_id: str, now: datetime) -> Mapping[str, str]:
        """The headers of Standard Webhooks."""
        signature = Webhook(self.account.credentials["webhookSecret"]).sign(event_id, now, body)
        stamp = str(int(now.timestamp()))
        return {"webhook-id": event_id, "webhook-timestamp": stamp, "webhook-signature": signature}

    def verdict(self, request: ChargeRequest) -> LookUpOutcome:
        """Asked."""
        return self.psp.look_up(query_of(request))


_numbers = count(1)


def card(number: str = SUCCESS, **changes: Any) -> Card:
    """A card that is good until 2029 unless *changes* say otherwise."""
    typed = {"holder_name": "Jane Doe", "number": number, "expire_year": "2029", "expire_month": "12", "cvc": "123"}
    return Card(**(typed | changes))


def a_request(number: str = SUCCESS, **changes: Any) -> ChargeRequest:
    """A charge of 14.99 EUR under a key and a merchant reference of its own."""
    n = next(_numbers)
    request: dict[str, Any] = {
        "psp_key": f"key-{n}",
        "merchant_reference": f"order {n}/ä&?",  # Callers choose it: it must survive any URL.
        "money": Money(1499, "EUR"),
        "channel": Channel.CREDIT_CARD,
        "customer_urn": "cu.00.482",
        "return_url": RETURN_URL,
        "ip_address": "203.0.113.7",
    }
    request |= changes
    by_card = request["channel"] is Channel.CREDIT_CARD and "token" not in changes
    return ChargeRequest(**({"card": card(number) if by_card else None} | request))


def query_of(request: ChargeRequest, reference: str | None = None) -> ChargeQuery:
    """The look-up that means this attempt."""
    return ChargeQuery(request.psp_key, request.merchant_reference, reference)


def name_of(challenged: Challenged) -> str:
    """The reference of a charge that waits for its shopper, at a PSP that names it by then."""
    assert challenged.reference is not None
    return challenged.reference


def came_back(subject: Subject, request: ChargeRequest, came_to: str) -> ChargeQuery:
    """The look-up that means this attempt, with what the shopper's browser brought along where its PSP wants that."""
    fields = {name: values[0] for name, values in parse_qs(urlsplit(came_to).query).items()}
    brought = {name: fields[name] for name in subject.psp.capabilities.brings}
    return ChargeQuery(request.psp_key, request.merchant_reference, None, brought)


def give_back(psp: Psp, reference: str, money: Money, *, psp_key: str) -> ReturnOutcome:
    """Void, else refund, as the engine room does."""
    voided = psp.void(reference, psp_key=f"{psp_key}-void")
    return psp.refund(reference, money, psp_key=f"{psp_key}-refund") if isinstance(voided, Captured) else voided
