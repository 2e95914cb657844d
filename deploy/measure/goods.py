"""What is sold while we measure: one offer to anybody that is not used up by being ordered."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from shared.config import Settings
from shared.domain.cards import Card
from shared.domain.money import Money
from shared.domain.offers import ArtifactGroup, ItemKind, Offer, OfferItem, Presentation, ProductGroup
from shared.store import offers
from shared.store.engine import create_engine

GOOD_FOR: Final = timedelta(days=1)
"""Longer than any run."""
CARD: Final = Card(
    number="4111111111111111", holder_name="Jane Doe", expire_year="2039", expire_month="12", cvc="123", alias=None
)
_ITEM: Final = OfferItem("it.00.42", ItemKind.BUNDLE, "Pro Monthly", Money(1499, "EUR"), 10)


def laid_out(database_url: str, tenant_id: UUID) -> str:
    """The identifier of a fresh offer, imported as `c2a offers import` does."""
    offer = Offer(
        offer_identifier=f"of_bench_{uuid4().hex}",
        presentation=Presentation.PURCHASE,
        product_group=ProductGroup.RECURRING_SUBSCRIPTION,
        storefront_urn="st.00.001",
        currency="EUR",
        expires_at=datetime.now(UTC) + GOOD_FOR,
        single_use=False,
        groups=(ArtifactGroup("bn.00.42", "Pro Monthly", (_ITEM,)),),
        installments=(),
    )
    engine = create_engine(Settings.model_validate({"DATABASE_URL": database_url}))
    with engine.begin() as conn:
        offers.keep_imported(conn, tenant_id, [offer])
    engine.dispose()
    return offer.offer_identifier


def order_of(offer: str, *, correlation: str, customer: str, provider: str | None = None) -> dict[str, Any]:
    """The body of POST /c2a/offer/checkout: one item, paid with a card typed anew."""
    payment: dict[str, Any] = {
        "paymentChannel": "CreditCard",
        "creditCard": {
            "cardHolderName": CARD.holder_name,
            "cardNumber": CARD.number,
            "expireYear": CARD.expire_year,
            "expireMonth": CARD.expire_month,
            "cvc": CARD.cvc,
        },
    }
    return {
        "order": {
            "offerIdentifier": offer,
            "correlationId": correlation,
            "items": [{"itemIdentifier": _ITEM.item_identifier, "quantity": 1}],
            "customer": {"customerUrn": customer, "ipAddress": "203.0.113.24"},
        },
        "paymentMethod": payment if provider is None else payment | {"providerIdentifier": provider},
    }
