"""The Adyen adapter on trial, on a fake of ours built from Adyen's published API (tests/support/adyen_fake)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from shared.domain.outcomes import Challenge
from shared.psp.adyen import AdyenPsp
from shared.psp.http import Http
from shared.psp.port import Account, EventKind, Psp, PspEvent
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

    def shopper(self, challenge: Challenge, decision: str) -> str:
        """Press a button of the hosted page."""
        assert challenge.redirect_url is not None
        return self.fake.click(challenge.redirect_url, decision)

    def live_captures(self) -> list[tuple[str, int, str]]:
        """From the fake's books."""
        return self.fake.live_captures(self.account)

    def told(self) -> PspEvent:
        """The next notification, as the adapter reads it."""
        hook = self.hooks.next()
        event = self.psp.read_event(hook.headers, hook.body, now=datetime.now(UTC))
        assert event.kind is EventKind.CHARGE
        return event


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
