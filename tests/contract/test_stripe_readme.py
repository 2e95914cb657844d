"""What an operator is told about Stripe is what the adapter reads."""

from __future__ import annotations

from shared.psp.stripe_asks import TYPE_OF
from shared.psp.stripe_events import EVENTS
from tests.support.psp import ROOT

SECTION = (ROOT / "README.md").read_text().partition("### Stripe\n")[2].partition("\n### ")[0]


def test_every_event_we_read_is_told() -> None:
    assert all(f"`{event}`" in SECTION for event in EVENTS)


def test_every_channel_and_every_credential_is_told() -> None:
    assert all(channel.value in SECTION for channel in TYPE_OF)
    for name in ("apiKey", "webhookSecret", "webhookSecretBefore", "bankTransferCountry"):
        assert f"`{name}`" in SECTION
