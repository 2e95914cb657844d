"""Which bundles a request is offered, and what a promotion does to their prices."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.catalogue import Catalogue, Context, Plan, Promotion
from shared.domain.money import Money
from shared.domain.offers import Campaign, Presentation, ProductGroup
from shared.domain.refusals import InvalidPromotionCode, NoOfferFound, StorefrontNotFound
from shared.domain.selection import Selection, select
from shared.store.offer_documents import OfferDocument
from shared.store.offer_wire import to_wire
from tests.support.catalogue import FAR, a_bundle, a_promotion

WITH_CODE = Context(promotion_code="CMP1WKWAFY")


def shown(selection: Selection) -> list[str]:
    """The bundles of a selection."""
    return [group.bundle_urn for group in selection.groups]


def test_a_request_without_a_storefront_gets_the_only_one() -> None:
    assert select(Catalogue((a_bundle(),), ()), Context()).storefront_urn == "st.00.001"


TWO_STOREFRONTS = Catalogue(
    (a_bundle(), a_bundle(bundle_urn="bn.00.43", item_identifier="it.00.43", storefront_urn="st.00.002")), ()
)


def test_a_tenant_with_several_storefronts_must_be_told_which() -> None:
    with pytest.raises(StorefrontNotFound, match=r"context\.storefrontUrn"):
        select(TWO_STOREFRONTS, Context())

    assert shown(select(TWO_STOREFRONTS, Context(storefront_urn="st.00.002"))) == ["bn.00.43"]


def test_a_tenants_default_storefront_stands_in_and_a_named_one_wins() -> None:
    assert select(TWO_STOREFRONTS, Context(), default_storefront="st.00.002").storefront_urn == "st.00.002"
    named = select(TWO_STOREFRONTS, Context(storefront_urn="st.00.001"), default_storefront="st.00.002")
    assert named.storefront_urn == "st.00.001"


def test_a_storefront_that_is_not_the_tenants_is_not_found() -> None:
    with pytest.raises(StorefrontNotFound):
        select(TWO_STOREFRONTS, Context(storefront_urn="st.other"))


def test_an_empty_catalogue_has_no_offer() -> None:
    with pytest.raises(NoOfferFound):
        select(Catalogue((), ()), Context())


@pytest.mark.parametrize(
    ("condition", "asked"),
    [
        ({"interaction_types": frozenset({"Replace"})}, Context(interaction_type="NewAcquisition")),
        ({"channels": frozenset({"Azotte"})}, Context(channel="InappPlayStore")),
        ({"client_platform_types": frozenset({"Web"})}, Context(client_platform_type="Mobile")),
    ],
)
def test_a_condition_excludes_who_says_otherwise_and_nobody_who_says_nothing(
    condition: dict[str, frozenset[str]], asked: Context
) -> None:
    catalogue = Catalogue((a_bundle(**condition),), ())

    with pytest.raises(NoOfferFound):
        select(catalogue, asked)
    assert shown(select(catalogue, Context())) == ["bn.00.42"]


def test_an_offer_has_one_currency_and_one_product_group() -> None:
    """Those of the first eligible bundle; a bundle that differs is left out, not converted."""
    catalogue = Catalogue(
        (
            a_bundle(bundle_urn="bn.1", item_identifier="it.1"),
            a_bundle(bundle_urn="bn.2", item_identifier="it.2", price=Money(1980, "JPY")),
            a_bundle(bundle_urn="bn.3", item_identifier="it.3", product_group=ProductGroup.ONE_TIME),
            a_bundle(bundle_urn="bn.4", item_identifier="it.4"),
        ),
        (),
    )

    assert shown(select(catalogue, Context())) == ["bn.1", "bn.4"]


def test_a_promotion_lowers_bundles_and_plans_and_is_listed() -> None:
    selection = select(Catalogue((a_bundle(),), (a_promotion(),)), WITH_CODE)

    bundle, seat = selection.groups[0].items
    assert bundle.price == Money(1199, "EUR")  # 80 % of 1499 is 1199.2.
    assert selection.installments[0].amount_minor == 408  # 80 % of 510.
    assert seat.price == Money(500, "EUR")
    assert selection.campaigns == (Campaign("CMP1WKWAFY", "Welcome"),)


def test_half_a_minor_unit_is_rounded_up() -> None:
    """50 % of 1499 is 749.5."""
    selection = select(Catalogue((a_bundle(),), (a_promotion(percent_off=50),)), WITH_CODE)

    assert selection.groups[0].items[0].price == Money(750, "EUR")


def test_an_amount_off_is_shared_among_the_payments_of_a_plan() -> None:
    promotion = a_promotion(percent_off=None, amount_off=Money(500, "EUR"))
    selection = select(Catalogue((a_bundle(),), (promotion,)), WITH_CODE)

    assert selection.groups[0].items[0].price == Money(999, "EUR")
    assert selection.installments[0].amount_minor == 510 - 166  # 500 in three payments is 166.67 each.


def test_an_amount_off_in_another_currency_lowers_nothing() -> None:
    promotion = a_promotion(percent_off=None, amount_off=Money(500, "JPY"))
    selection = select(Catalogue((a_bundle(),), (promotion,)), WITH_CODE)

    assert selection.groups[0].items[0].price == Money(1499, "EUR")
    assert selection.campaigns == ()


def test_a_promotion_for_other_bundles_is_no_error_and_is_not_listed() -> None:
    selection = select(Catalogue((a_bundle(),), (a_promotion(bundles=frozenset({"bn.other"})),)), WITH_CODE)

    assert selection.groups[0].items[0].price == Money(1499, "EUR")
    assert selection.campaigns == ()


@pytest.mark.parametrize("promotions", [(), (a_promotion(storefront_urn="st.other"),), (a_promotion(code="OTHER"),)])
def test_a_code_the_storefront_does_not_know_is_refused(promotions: tuple[Promotion, ...]) -> None:
    with pytest.raises(InvalidPromotionCode, match=r"context\.promotionCode"):
        select(Catalogue((a_bundle(),), promotions), WITH_CODE)


def test_the_end_of_a_promotion_goes_along_for_the_database_to_judge() -> None:
    end = datetime(2001, 1, 1, tzinfo=UTC)

    assert select(Catalogue((a_bundle(),), (a_promotion(valid_until=end),)), WITH_CODE).valid_until == end


@given(
    price=st.integers(0, 999_999_999_999),
    payments=st.integers(2, 120),
    percent=st.integers(1, 100),
    off=st.integers(1, 999_999_999_999),
)
def test_no_promotion_makes_a_price_negative_or_higher(price: int, payments: int, percent: int, off: int) -> None:
    bundle = a_bundle(price=Money(price, "EUR"), plans=(Plan("in", payments, price),))
    for promotion in (a_promotion(percent_off=percent), a_promotion(percent_off=None, amount_off=Money(off, "EUR"))):
        lowered = promotion.applied_to(bundle)

        assert 0 <= lowered.price.amount_minor <= price
        assert 0 <= lowered.plans[0].amount_minor <= price


@given(price=st.integers(0, 999_999_999_999), percent=st.integers(1, 100))
def test_a_percentage_is_never_off_by_more_than_half_a_minor_unit(price: int, percent: int) -> None:
    lowered = a_promotion(percent_off=percent).applied_to(a_bundle(price=Money(price, "EUR"))).price.amount_minor

    assert abs(100 * lowered - price * (100 - percent)) <= 50


@given(st.integers(0, 999_999_999_999), st.integers(1, 100), st.sampled_from(Presentation))
def test_whatever_is_resolved_can_be_answered_stored_and_read_again(
    price: int, percent: int, presentation: Presentation
) -> None:
    catalogue = Catalogue((a_bundle(price=Money(price, "EUR")),), (a_promotion(percent_off=percent),))
    prefix = "of_" if presentation is Presentation.PURCHASE else "sh_"
    offer = select(catalogue, WITH_CODE).offer(
        f"{prefix}x", presentation, customer_urn=None, single_use=True, expires_at=FAR
    )

    assert OfferDocument.model_validate_json(json.dumps(to_wire(offer))).offer() == offer
