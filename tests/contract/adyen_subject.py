"""The Adyen adapter on trial, on a fake of ours built from Adyen's published API (tests/support/adyen_fake)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from shared.domain.outcomes import Challenge, DeclineReason, LookUpOutcome, Unanswered
from shared.psp.adyen import AdyenPsp
from shared.psp.http import Http
from shared.psp.port import Account, ChargeRequest, EventKind, Psp, PspEvent
from tests.contract.subject import a_request
from tests.support.adyen_fake.fake import AdyenFake, running
from tests.support.psp import Receiver

HANG_S = 5.0
"""Longer than the adapter is patient in this tier: a hanging call is given up before it is cut."""


@dataclass(slots=True)
class AdyenSubject:
    """The Adyen adapter on the fake."""

    psp: Psp
    account: Account
    hooks: Receiver
    fake: AdyenFake = field(repr=False)
    cancelled: DeclineReason = DeclineReason.SHOPPER_CANCELLED
    asks_for_account: bool = True
    tells_pending_transfer: bool = False
    event_names_kept: bool = False
    signs_the_body: bool = False
    _told: list[PspEvent] = field(default_factory=list)

    def shopper(self, challenge: Challenge, decision: str) -> str:
        """Press a button of the hosted page."""
        assert challenge.redirect_url is not None
        return self.fake.click(challenge.redirect_url, decision)

    def goes_wrong(self, kind: str) -> None:
        """One of the fake's troubles."""
        self.fake.troubles.add(kind)

    def live_captures(self) -> list[tuple[str, int, str]]:
        """From the fake's books."""
        return self.fake.live_captures(self.account)

    def returned_minor(self) -> int:
        """From the fake's books."""
        return sum(payment.returned for payment in self.fake.payments(self.account))

    def sign(self, body: str, *, event_id: str, now: datetime) -> Mapping[str, str]:
        """None: what is signed stands in the body."""
        return {}

    def verdict(self, request: ChargeRequest) -> LookUpOutcome:
        """Told: Adyen cannot be asked."""
        while not self.hooks.hooks.empty():
            self._told.append(self.told())
        mine = [one.outcome for one in self._told if one.psp_key == request.psp_key]
        return mine[-1] or Unanswered("nothing told") if mine else Unanswered("nothing told")

    def told(self) -> PspEvent:
        """The next notification, as the adapter reads it."""
        hook = self.hooks.next()
        event = self.psp.read_event(hook.headers, hook.body, now=datetime.now(UTC))
        assert event.kind is EventKind.CHARGE
        return event

    def told_no_more(self) -> bool:
        """Whether all that was told so far was read: notifications go out one after the other, so the next one is that
        of a charge made now."""
        marker = a_request()
        self.psp.charge(marker)
        return self.told().psp_key == marker.psp_key


@pytest.fixture(scope="session")
def _adyen_process() -> Iterator[AdyenFake]:
    with running() as fake:
        fake.troubles.hang_s = HANG_S
        yield fake


@pytest.fixture
def adyen_subject(_adyen_process: AdyenFake, hooks: Receiver, http: Http) -> Iterator[AdyenSubject]:
    """The Adyen adapter, for what only it promises; its fake is healthy before and after."""
    account = _adyen_process.account(hooks.url)
    yield AdyenSubject(AdyenPsp(account, http), account, hooks, _adyen_process)
    _adyen_process.heal()
