"""What an offer looks like on the wire (contract section 4).

The document is also what is stored: an offer is answered, kept and priced from the same text. One field in it is
ours: an installment names the itemIdentifier of the bundle it pays.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from shared.domain.offers import ArtifactGroup, Installment, Offer, OfferItem


def rfc3339(moment: datetime) -> str:
    """*moment* in UTC to the millisecond: 2030-01-01T00:00:00.000Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def to_wire(offer: Offer) -> dict[str, Any]:
    """*offer* as answered and stored; whose it is stays with us."""
    return {
        "offerIdentifier": offer.offer_identifier,
        "presentationType": offer.presentation.value,
        "productGroupType": offer.product_group.value,
        "storefrontUrn": offer.storefront_urn,
        "currency": offer.currency,
        "expiresAt": rfc3339(offer.expires_at),
        "singleUse": offer.single_use,
        "artifactGroups": [_group(group) for group in offer.groups],
        "installments": [_installment(plan) for plan in offer.installments],
        "appliedCampaigns": [{"code": campaign.code, "name": campaign.name} for campaign in offer.campaigns],
    }


def _group(group: ArtifactGroup) -> dict[str, Any]:
    return {"bundleUrn": group.bundle_urn, "name": group.name, "items": [_item(item) for item in group.items]}


def _item(item: OfferItem) -> dict[str, Any]:
    return {
        "itemIdentifier": item.item_identifier,
        "kind": item.kind.value,
        "parentItemIdentifier": item.parent_item_identifier,
        "name": item.name,
        "price": {"amountMilpieces": item.price.amount_minor, "currency": item.price.currency},
        "maxQuantity": item.max_quantity,
    }


def _installment(plan: Installment) -> dict[str, Any]:
    return {
        "installmentIdentifier": plan.installment_identifier,
        "itemIdentifier": plan.item_identifier,
        "count": plan.count,
        "amountMilpieces": plan.amount_minor,
    }
