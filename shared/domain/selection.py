"""Which bundles a request is offered, and at what prices.

Pure rules; the contract's are in its section 4, and where it is silent ours are:

- A request that names no storefront gets the tenant's default, else its only one; a tenant with several must be told.
- A bundle's condition (interaction types, channels, platforms) excludes it only when the request names that field
  and names something else: a showcase, which names little, shows everything.
- An offer has one currency and one product group: those of the first eligible bundle by bundleUrn. Eligible bundles
  that differ are left out.
- A known promotion code that lowers nothing shown is no error; appliedCampaigns is empty then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.domain.catalogue import AddOn, Bundle, Catalogue, Context, Promotion
from shared.domain.money import Money
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
from shared.domain.refusals import InvalidPromotionCode, NoOfferFound, StorefrontNotFound


@dataclass(frozen=True, slots=True)
class Selection:
    """What an offer is made of. *valid_until*: the end of the promotion, to be judged by the database's clock."""

    storefront_urn: str
    product_group: ProductGroup
    currency: str
    groups: tuple[ArtifactGroup, ...]
    installments: tuple[Installment, ...]
    campaigns: tuple[Campaign, ...]
    valid_until: datetime | None

    def offer(
        self,
        offer_identifier: str,
        presentation: Presentation,
        *,
        customer_urn: str | None,
        single_use: bool,
        expires_at: datetime,
    ) -> Offer:
        """This selection as an offer."""
        return Offer(
            offer_identifier=offer_identifier,
            presentation=presentation,
            product_group=self.product_group,
            storefront_urn=self.storefront_urn,
            currency=self.currency,
            expires_at=expires_at,
            single_use=single_use,
            groups=self.groups,
            installments=self.installments,
            campaigns=self.campaigns,
            customer_urn=customer_urn,
        )


def select(catalogue: Catalogue, context: Context, *, default_storefront: str | None = None) -> Selection:
    """What *context* is offered; raises StorefrontNotFound, InvalidPromotionCode or NoOfferFound."""
    storefront = _storefront(catalogue, context.storefront_urn or default_storefront)
    promotion = _promotion(catalogue, context.promotion_code, storefront)
    eligible = [bundle for bundle in catalogue.bundles if bundle.storefront_urn == storefront and bundle.suits(context)]
    if not eligible:
        raise NoOfferFound("no bundle of the storefront suits the context")
    first = eligible[0]
    alike = [bundle for bundle in eligible if _kind(bundle) == _kind(first)]
    lowered = promotion is not None and any(promotion.lowers(bundle) for bundle in alike)
    priced = [promotion.applied_to(b) if promotion is not None and promotion.lowers(b) else b for b in alike]
    return Selection(
        storefront_urn=storefront,
        product_group=first.product_group,
        currency=first.price.currency,
        groups=tuple(_group(bundle) for bundle in priced),
        installments=tuple(plan for bundle in priced for plan in _installments(bundle)),
        campaigns=(Campaign(promotion.code, promotion.name),) if promotion is not None and lowered else (),
        valid_until=promotion.valid_until if promotion is not None else None,
    )


def _kind(bundle: Bundle) -> tuple[str, ProductGroup]:
    return bundle.price.currency, bundle.product_group


def _storefront(catalogue: Catalogue, named: str | None) -> str:
    known = {bundle.storefront_urn for bundle in catalogue.bundles}
    if named is None and not known:
        raise NoOfferFound("the catalogue is empty")
    if named is None and len(known) > 1:
        raise StorefrontNotFound("context.storefrontUrn: this tenant has several storefronts, name one")
    if named is not None and named not in known:
        raise StorefrontNotFound("context.storefrontUrn: not a storefront of this tenant")
    return named or next(iter(known))


def _promotion(catalogue: Catalogue, code: str | None, storefront: str) -> Promotion | None:
    if code is None:
        return None
    for promotion in catalogue.promotions:
        if promotion.code == code and promotion.storefront_urn in (None, storefront):
            return promotion
    raise InvalidPromotionCode("context.promotionCode: unknown to this storefront")


def _group(bundle: Bundle) -> ArtifactGroup:
    main = OfferItem(bundle.item_identifier, ItemKind.BUNDLE, bundle.name, bundle.price, bundle.max_quantity)
    return ArtifactGroup(
        bundle.bundle_urn, bundle.name, (main, *(_add_on(bundle, add_on) for add_on in bundle.add_ons))
    )


def _add_on(bundle: Bundle, add_on: AddOn) -> OfferItem:
    return OfferItem(
        add_on.item_identifier,
        ItemKind.ADD_ON,
        add_on.name,
        Money(add_on.amount_minor, bundle.price.currency),
        add_on.max_quantity,
        parent_item_identifier=bundle.item_identifier,
    )


def _installments(bundle: Bundle) -> Sequence[Installment]:
    return [
        Installment(plan.installment_identifier, bundle.item_identifier, plan.count, plan.amount_minor)
        for plan in bundle.plans
    ]
