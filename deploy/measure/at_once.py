"""A PSP that captures at once, in the process that asks: what is left of a drain is the engine's own work.

For the bench alone. The product knows no such adapter: workers that use it are started through
deploy/measure/worker.py, which hands it in where the product's own door hands in shared/psp/factory.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from shared.domain.cards import Card
from shared.domain.money import Money
from shared.domain.outcomes import (
    Absent,
    Captured,
    KeepOutcome,
    LookUpOutcome,
    NotSent,
    PaymentOutcome,
    Returned,
    ReturnOutcome,
    Unanswered,
)
from shared.psp import factory
from shared.psp.port import (
    Account,
    BadSignature,
    Capabilities,
    Channel,
    ChargePage,
    ChargeQuery,
    ChargeRequest,
    Psp,
    PspEvent,
)

PROVIDER: Final = "at-once"
"""Its name, and its adapter's."""


class AtOnce:
    """It keeps no books, so whoever measures must see for themselves that each order was charged once."""

    @property
    def capabilities(self) -> Capabilities:
        """Everything but memory."""
        return Capabilities(
            channels=frozenset(Channel),
            remembers_declines=True,
            key_lifetime=timedelta(hours=24),
            longest_processing=timedelta(seconds=30),
            lists_charges=False,
        )

    def charge(self, request: ChargeRequest) -> PaymentOutcome:
        """Captured; a repeat under one key is the same charge."""
        return Captured(f"ao_{request.psp_key}", request.money)

    def look_up(self, query: ChargeQuery) -> LookUpOutcome:  # noqa: ARG002
        """Nothing is remembered."""
        return Absent()

    def charges_since(self, since: datetime, *, after: str | None = None) -> ChargePage | Unanswered:  # noqa: ARG002
        """There are no books."""
        return Unanswered("keeps no books")

    def void(self, reference: str, *, psp_key: str) -> ReturnOutcome:  # noqa: ARG002
        """Gone."""
        return Returned(reference)

    def refund(self, reference: str, money: Money, *, psp_key: str) -> ReturnOutcome:  # noqa: ARG002
        """Gone."""
        return Returned(reference)

    def keep_card(self, card: Card, *, customer_urn: str, psp_key: str) -> KeepOutcome:  # noqa: ARG002
        """It keeps nothing."""
        return NotSent("keeps no cards")

    def forget_token(self, token: str) -> bool:  # noqa: ARG002
        """It has none."""
        return True

    def read_event(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> PspEvent:  # noqa: ARG002
        """It sends no events, so whatever comes is forged."""
        raise BadSignature("this PSP sends no events")


def psp_for(account: Account) -> Psp:
    """The PSP of *account*: this one, or what the product has for it. Raises UnknownAdapter."""
    return AtOnce() if account.adapter == PROVIDER else factory.psp_for(account)
