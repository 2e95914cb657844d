"""Offers that another system resolved, laid out before a crash test's load begins.

Most shoppers take theirs from here: then what is loaded is the way of an order, and not the catalogue. They are
imported as `c2a offers import` does it (contract section 4), anybody may order each, and each sells once.
"""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from pydantic import SecretStr

from shared.config import Settings
from shared.domain.money import Money
from shared.domain.offers import ArtifactGroup, ItemKind, Offer, OfferItem, Presentation, ProductGroup
from shared.store import offers
from shared.store.engine import create_engine
from shared.store.offer_wire import to_wire

BATCH: Final = 200
"""Offers a statement: well under its time limit."""
AFTER_THE_RUN: Final = timedelta(hours=1)
_GROUPS: Final = (
    ArtifactGroup(
        "bn.00.42",
        "Pro Monthly",
        (
            OfferItem("it.00.42", ItemKind.BUNDLE, "Pro Monthly", Money(1499, "EUR"), 10),
            OfferItem("it.00.42.seat", ItemKind.ADD_ON, "Extra seat", Money(500, "EUR"), 50, "it.00.42"),
        ),
    ),
    ArtifactGroup(
        "bn.00.43", "Pro Yearly", (OfferItem("it.00.43", ItemKind.BUNDLE, "Pro Yearly", Money(14990, "EUR"), 1),)
    ),
)


def stocked(dsn: str, tenant: str, count: int, *, seconds: float) -> deque[dict[str, Any]]:
    """*count* offers as a storefront is shown them, good for longer than a run of *seconds*."""
    expires_at = datetime.now(UTC) + timedelta(seconds=seconds) + AFTER_THE_RUN
    made = [_offer(expires_at) for _ in range(count)]
    engine = create_engine(Settings.model_validate({"DATABASE_URL": SecretStr(dsn)}))
    try:
        for start in range(0, count, BATCH):
            with engine.begin() as conn:
                offers.keep_imported(conn, UUID(tenant), made[start : start + BATCH])
    finally:
        engine.dispose()
    return deque(to_wire(offer) for offer in made)


def _offer(expires_at: datetime) -> Offer:
    return Offer(
        offer_identifier=f"of_ct_{uuid4().hex}",
        presentation=Presentation.PURCHASE,
        product_group=ProductGroup.RECURRING_SUBSCRIPTION,
        storefront_urn="st.00.001",
        currency="EUR",
        expires_at=expires_at,
        single_use=True,
        groups=_GROUPS,
        installments=(),
    )
