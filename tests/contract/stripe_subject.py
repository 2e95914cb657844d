"""The Stripe adapter as a subject of the contract suite, on our strict fake of Stripe's API.

The fake plays every scenario; what localstripe can play is tried on it as well (test_localstripe.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import httpx
import pytest
from stripe import WebhookSignature

from shared.domain.outcomes import Challenge, DeclineReason, LookUpOutcome
from shared.psp.http import Http
from shared.psp.port import Account, ChargeRequest, Psp
from shared.psp.stripe import StripePsp
from tests.contract.subject import query_of
from tests.support.psp import Receiver
from tests.support.stripe_fake.server import StripeFake, stripe_fake


@dataclass(slots=True)
class StripeSubject:
    """The Stripe adapter on the fake."""

    psp: Psp
    account: Account
    hooks: Receiver
    fake: StripeFake = field(repr=False)
    cancelled: DeclineReason = DeclineReason.AUTHENTICATION_FAILED
    """Stripe tells no difference between a shopper who fails a 3DS challenge and one who leaves it."""
    asks_for_account: bool = True
    tells_pending_transfer: bool = False
    event_names_kept: bool = False
    signs_the_body: bool = True

    def shopper(self, challenge: Challenge, decision: str) -> str:
        """Press a button of a page."""
        assert challenge.redirect_url is not None
        answer = httpx.post(challenge.redirect_url, data={"decision": decision}, trust_env=False)
        assert answer.status_code == 303
        return answer.headers["location"]

    def goes_wrong(self, kind: str) -> None:
        """One of the fake's faults."""
        self.fake.faults.add(kind)

    def live_captures(self) -> list[tuple[str, int, str]]:
        """From the fake's books."""
        live = self.fake.books_of(self.account).live()
        return [(one["metadata"]["merchantReference"], one["amount"], one["currency"].upper()) for one in live]

    def returned_minor(self) -> int:
        """From the fake's books."""
        charges = self.fake.books_of(self.account).charges.values()
        return sum(charge["amount_refunded"] for charge in charges)

    def sign(self, body: str, *, event_id: str, now: datetime) -> Mapping[str, str]:
        """Stripe's header for *body*, in which the id stands."""
        secret = self.account.credentials["webhookSecret"]
        return {"Stripe-Signature": WebhookSignature.generate_signature_header(body, secret, int(now.timestamp()))}

    def verdict(self, request: ChargeRequest) -> LookUpOutcome:
        """Asked."""
        return self.psp.look_up(query_of(request))


@pytest.fixture(scope="session")
def _stripe_process() -> Iterator[StripeFake]:
    with stripe_fake() as running:
        yield running


@pytest.fixture
def stripe_process(_stripe_process: StripeFake) -> Iterator[StripeFake]:
    """The fake, healthy before and after."""
    _stripe_process.heal()
    yield _stripe_process
    _stripe_process.heal()


@pytest.fixture
def stripe_subject(stripe_process: StripeFake, hooks: Receiver, http: Http) -> StripeSubject:
    """The Stripe adapter, for what only its fake can be told to do."""
    account = stripe_process.account(hooks.url)
    return StripeSubject(StripePsp(account, http), account, hooks, stripe_process)
