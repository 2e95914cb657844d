"""What a storefront asks for and is offered (contract section 4).

The published API does not say what customTags holds, so any JSON is welcome there and none of it is kept.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import Field

from api.schemas.common import Answer, Identifier, Name, Status, Wire, short
from shared.domain.offers import ItemKind, Presentation, ProductGroup


class InteractionType(StrEnum):
    """Why the customer is here."""

    NEW_ACQUISITION = "NewAcquisition"
    REPLACE = "Replace"
    RETENTION_WINBACK = "RetentionWinback"


class SalesChannel(StrEnum):
    """Through which shop."""

    AZOTTE = "Azotte"
    PLAY_STORE = "InappPlayStore"
    APP_STORE = "InappAppStore"
    EXTERNAL_PARTNER = "ExternalPartner"


class ShowcaseContext(Wire):
    """Who looks, and where; the storefront must be named only where the tenant has several."""

    customer_urn: Annotated[Identifier | None, short("CU")] = None
    promotion_code: Annotated[Identifier | None, short("PC")] = None
    step_index: Annotated[int | None, Field(ge=0, le=1_000), short("SF")] = None
    interaction_type: Annotated[InteractionType | None, Field(strict=False), short("IT")] = None
    channel: Annotated[SalesChannel | None, Field(strict=False), short("CH")] = None
    interaction_date: Annotated[Name | None, short("ID")] = None
    interaction_means: Annotated[Name | None, short("IM")] = None
    custom_tags: Annotated[Any, short("CTG")] = None
    storefront_urn: Annotated[Identifier | None, short("SFU")] = None
    original_subscription_identifier: Annotated[Identifier | None, short("OSI")] = None
    client_platform_type: Annotated[Name | None, short("PLT")] = None


class BundlesContext(ShowcaseContext):
    """Who buys, and where."""

    interaction_type: Annotated[InteractionType, Field(strict=False), short("IT")]


class ShowcaseRequest(Wire):
    """Show what there is."""

    context: ShowcaseContext


class BundlesRequest(Wire):
    """Offer what this customer may order."""

    context: BundlesContext


class Price(Answer):
    """An amount in minor units of an ISO 4217 currency."""

    amount_milpieces: int
    currency: str


class OfferItem(Answer):
    """One thing an offer sells; the price is for one unit."""

    item_identifier: str
    kind: ItemKind
    parent_item_identifier: str | None = None
    name: str
    price: Price
    max_quantity: int


class ArtifactGroup(Answer):
    """A bundle with its add-ons."""

    bundle_urn: str
    name: str
    items: list[OfferItem]


class Installment(Answer):
    """A plan that pays the bundle *itemIdentifier* in *count* payments; the first is charged with the order."""

    installment_identifier: str
    item_identifier: str
    count: int
    amount_milpieces: int


class Campaign(Answer):
    """A promotion whose reduction is already in the prices."""

    code: str
    name: str


class OfferDocument(Answer):
    """An immutable snapshot: its prices are what is charged."""

    offer_identifier: str
    presentation_type: Presentation
    product_group_type: ProductGroup
    storefront_urn: str
    currency: str
    expires_at: datetime
    single_use: bool
    artifact_groups: list[ArtifactGroup]
    installments: list[Installment]
    applied_campaigns: list[Campaign]


class OfferResponse(Answer):
    """An offer, or null and why."""

    status: Status
    offer: OfferDocument | None = None
    message: str | None = None
    always_there: ClassVar[frozenset[str]] = frozenset({"offer"})
