"""Bundles, promotions and offers for tests; every value can be replaced by name."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from shared.domain.catalogue import AddOn, Bundle, Plan, Promotion
from shared.domain.money import Money
from shared.domain.offers import (
    ArtifactGroup,
    Installment,
    ItemKind,
    Offer,
    OfferItem,
    Presentation,
    ProductGroup,
)

FAR: Final = datetime(2099, 1, 1, tzinfo=UTC)
"""An expiry that no test run reaches."""


def a_bundle(**replaced: Any) -> Bundle:
    """The published bundle, with an add-on and a plan."""
    values: dict[str, Any] = {
        "bundle_urn": "bn.00.42",
        "storefront_urn": "st.00.001",
        "name": "Pro Monthly",
        "item_identifier": "it.00.42",
        "product_group": ProductGroup.RECURRING_SUBSCRIPTION,
        "price": Money(1499, "EUR"),
        "max_quantity": 10,
        "add_ons": (AddOn("it.00.42.seat", "Extra seat", 500, 50),),
        "plans": (Plan("in.00.42.3", 3, 510),),
    }
    return Bundle(**(values | replaced))


def a_promotion(**replaced: Any) -> Promotion:
    """The published code, a fifth off everything."""
    values: dict[str, Any] = {"code": "CMP1WKWAFY", "name": "Welcome", "percent_off": 20}
    return Promotion(**(values | replaced))


def an_offer(**replaced: Any) -> Offer:
    """An offer of two bundles, one of them with an add-on and a plan."""
    values: dict[str, Any] = {
        "offer_identifier": "of_test",
        "presentation": Presentation.PURCHASE,
        "product_group": ProductGroup.RECURRING_SUBSCRIPTION,
        "storefront_urn": "st.00.001",
        "currency": "EUR",
        "expires_at": FAR,
        "single_use": True,
        "groups": (
            ArtifactGroup(
                "bn.00.42",
                "Pro Monthly",
                (
                    OfferItem("it.00.42", ItemKind.BUNDLE, "Pro Monthly", Money(1499, "EUR"), 10),
                    OfferItem("it.00.42.seat", ItemKind.ADD_ON, "Extra seat", Money(500, "EUR"), 50, "it.00.42"),
                ),
            ),
            ArtifactGroup(
                "bn.00.43",
                "Pro Yearly",
                (OfferItem("it.00.43", ItemKind.BUNDLE, "Pro Yearly", Money(14990, "EUR"), 1),),
            ),
        ),
        "installments": (Installment("in.00.42.3", "it.00.42", 3, 510),),
    }
    return Offer(**(values | replaced))


def bundle_line(**replaced: Any) -> dict[str, Any]:
    """A bundle as a line of a catalogue file."""
    return {
        "kind": "bundle",
        "bundleUrn": "bn.00.42",
        "storefrontUrn": "st.00.001",
        "name": "Pro Monthly",
        "itemIdentifier": "it.00.42",
        "productGroupType": "RecurringSubscription",
        "price": {"amountMilpieces": 1499, "currency": "EUR"},
    } | replaced


def promotion_line(**replaced: Any) -> dict[str, Any]:
    """A promotion as a line of a catalogue file."""
    return {"kind": "promotion", "code": "CMP1WKWAFY", "name": "Welcome", "percentOff": 20} | replaced
