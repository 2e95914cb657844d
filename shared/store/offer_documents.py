"""What the document of an offer must look like, and which business value it stands for.

The same models read an imported file and the stored snapshot, so what was let in can always be priced.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from shared.domain.offers import (
    ArtifactGroup,
    Campaign,
    Installment,
    ItemKind,
    Offer,
    OfferItem,
    Presentation,
    ProductGroup,
)
from shared.store.catalogue_documents import (
    MOST_BUNDLES,
    MOST_PARTS,
    Currency,
    Document,
    Identifier,
    Moment,
    Name,
    PlanDocument,
    PriceDocument,
    Quantity,
)

OfferIdentifier = Annotated[str, StringConstraints(pattern=r"^(of|sh)_[!-=?-~]+$", max_length=255)]


class OfferItemDocument(Document):
    """One item of an offer."""

    item_identifier: Identifier
    kind: Literal["Bundle", "AddOn"]
    parent_item_identifier: Identifier | None = None
    name: Name
    price: PriceDocument
    max_quantity: Quantity

    def item(self) -> OfferItem:
        """The item of the domain."""
        return OfferItem(
            self.item_identifier,
            ItemKind(self.kind),
            self.name,
            self.price.money(),
            self.max_quantity,
            self.parent_item_identifier,
        )


class ArtifactGroupDocument(Document):
    """A bundle and its add-ons."""

    bundle_urn: Identifier
    name: Name
    items: Annotated[tuple[OfferItemDocument, ...], Field(min_length=1, max_length=1 + MOST_PARTS)]


class InstallmentDocument(PlanDocument):
    """A plan, and the bundle it pays."""

    item_identifier: Identifier


class CampaignDocument(Document):
    """A promotion that is already in the prices."""

    code: Identifier
    name: Name


class OfferDocument(Document):
    """The offer of a response, or of a line of an imported file (there it may name its customer)."""

    offer_identifier: OfferIdentifier
    presentation_type: Literal["Purchase", "Showcase"]
    product_group_type: Literal["RecurringSubscription", "OneTime"]
    storefront_urn: Identifier
    currency: Currency
    expires_at: Moment
    single_use: bool
    artifact_groups: Annotated[tuple[ArtifactGroupDocument, ...], Field(min_length=1, max_length=MOST_BUNDLES)]
    installments: Annotated[tuple[InstallmentDocument, ...], Field(max_length=MOST_BUNDLES * MOST_PARTS)] = ()
    applied_campaigns: Annotated[tuple[CampaignDocument, ...], Field(max_length=20)] = ()
    customer_urn: Name | None = None  # Customers are named by the tenant, in any script.

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        """What a checkout relies on: one currency, unambiguous lines, plans and add-ons that have their bundle."""
        items = [item for group in self.artifact_groups for item in group.items]
        bundles = {item.item_identifier for item in items if item.kind == "Bundle"}
        plans = [plan.installment_identifier for plan in self.installments]
        broken = {
            "offerIdentifier: of_ is for Purchase, sh_ for Showcase": self.offer_identifier.startswith("of_")
            != (self.presentation_type == "Purchase"),
            "artifactGroups: every price must be in the offer's currency": any(
                item.price.currency != self.currency for item in items
            ),
            "artifactGroups: an AddOn names its bundle as parentItemIdentifier, a Bundle names none": any(
                item.parent_item_identifier not in (bundles if item.kind == "AddOn" else {None}) for item in items
            ),
            "artifactGroups: two items have the same identifier and parent": _repeats(
                (item.parent_item_identifier, item.item_identifier) for item in items
            ),
            "installments: two have the same installmentIdentifier": _repeats(plans),
            "installments: itemIdentifier is not a bundle of the offer": any(
                plan.item_identifier not in bundles for plan in self.installments
            ),
        }
        faults = [rule for rule, is_broken in broken.items() if is_broken]
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def offer(self) -> Offer:
        """The offer of the domain."""
        return Offer(
            offer_identifier=self.offer_identifier,
            presentation=Presentation(self.presentation_type),
            product_group=ProductGroup(self.product_group_type),
            storefront_urn=self.storefront_urn,
            currency=self.currency,
            # Cut to what the wire can say, so that the column and the answer agree.
            expires_at=self.expires_at.astimezone(UTC).replace(microsecond=self.expires_at.microsecond // 1000 * 1000),
            single_use=self.single_use,
            groups=tuple(
                ArtifactGroup(group.bundle_urn, group.name, tuple(item.item() for item in group.items))
                for group in self.artifact_groups
            ),
            installments=tuple(
                Installment(plan.installment_identifier, plan.item_identifier, plan.count, plan.amount_milpieces)
                for plan in self.installments
            ),
            campaigns=tuple(Campaign(campaign.code, campaign.name) for campaign in self.applied_campaigns),
            customer_urn=self.customer_urn,
        )


def _repeats(names: Iterable[object]) -> bool:
    return any(count > 1 for count in Counter(names).values())
