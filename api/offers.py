"""How an offer is resolved and answered: POST /c2a/offer/bundles and /c2a/offer/showcase (contract section 4).

Both resolve from the tenant's catalogue and keep an immutable snapshot; a showcase is kept too, so that a checkout
with it can be told from one with an unknown offer. A showcase is never sold, so it is never single-use.
"""

from __future__ import annotations

from flask import Blueprint, Response

from api.auth import caller
from api.catalogues import Catalogues
from api.envelope import answer
from api.parts import Parts
from api.schemas.offers import BundlesRequest, ShowcaseContext, ShowcaseRequest
from api.strict_json import body
from shared.domain.catalogue import Context
from shared.domain.offers import Offer, Presentation
from shared.domain.refusals import InvalidPromotionCode
from shared.domain.selection import select
from shared.store import offers
from shared.store.engine import statements
from shared.store.keys import Caller
from shared.store.offer_wire import to_wire


def blueprint(parts: Parts) -> Blueprint:
    """The two offer routes."""
    routes = Blueprint("offers", __name__)
    catalogues = Catalogues(parts.settings.key_cache_s)

    @routes.post("/c2a/offer/bundles")
    def bundles() -> Response:
        return _answer(_resolve(parts, catalogues, caller(), body(BundlesRequest).context, Presentation.PURCHASE))

    @routes.post("/c2a/offer/showcase")
    def showcase() -> Response:
        return _answer(_resolve(parts, catalogues, caller(), body(ShowcaseRequest).context, Presentation.SHOWCASE))

    return routes


def _answer(offer: Offer) -> Response:
    return answer({"offer": to_wire(offer)}, code="SUCCESS")


def _resolve(
    parts: Parts, catalogues: Catalogues, who: Caller, context: ShowcaseContext, presentation: Presentation
) -> Offer:
    """The offer for *context*, kept; raises StorefrontNotFound, InvalidPromotionCode or NoOfferFound."""
    with statements(parts.engine) as conn:
        selection = select(
            catalogues.of(conn, who.tenant_id), _asked(context), default_storefront=who.settings.default_storefront
        )
        offer = offers.keep_resolved(
            conn,
            who.tenant_id,
            selection,
            presentation,
            customer_urn=context.customer_urn,
            single_use=who.settings.single_use_offers and presentation is Presentation.PURCHASE,
            life_s=who.settings.offer_life_s or parts.settings.offer_life_s,
        )
    if offer is None:
        raise InvalidPromotionCode("context.promotionCode: the promotion is over")
    return offer


def _asked(context: ShowcaseContext) -> Context:
    return Context(
        storefront_urn=context.storefront_urn,
        promotion_code=context.promotion_code,
        interaction_type=context.interaction_type,
        channel=context.channel,
        client_platform_type=context.client_platform_type,
    )
