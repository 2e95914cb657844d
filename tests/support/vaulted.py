"""The card that waits in a vault for its order."""

from __future__ import annotations

from uuid import UUID

from shared.domain.cards import Card
from shared.vault import Vault


def card_of(vault: Vault, tenant_id: UUID, tracking_number: str) -> Card | None:
    """The card of an order as the payment step looks at it, None if it is gone."""
    card, _ = vault.look(tenant_id, tracking_number, sizes_of=())
    return card
