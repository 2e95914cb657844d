"""What a cart costs: the offer's prices, and nothing the cart says about them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.money import Money
from shared.domain.offers import ArtifactGroup, CartLine, Installment, ItemKind, Offer, OfferItem, line_key
from shared.domain.refusals import OfferItemNotFound
from tests.support.catalogue import an_offer

AMOUNTS = st.integers(0, 999_999_999_999)
UNITS = st.integers(1, 999)


@st.composite
def offers(draw: st.DrawFn) -> Offer:
    """An offer of up to four bundles, each with up to three add-ons and a plan."""
    groups, plans = [], []
    for number in range(draw(st.integers(1, 4))):
        item = f"it.{number}"
        bundle = OfferItem(item, ItemKind.BUNDLE, "Bundle", Money(draw(AMOUNTS), "EUR"), 999)
        add_ons = [
            # The same add-on under every bundle: only the parent tells which price holds.
            OfferItem(f"add.{n}", ItemKind.ADD_ON, "Add-on", Money(draw(AMOUNTS), "EUR"), 999, item)
            for n in range(draw(st.integers(0, 3)))
        ]
        groups.append(ArtifactGroup(f"bn.{number}", "Bundle", (bundle, *add_ons)))
        plans.append(Installment(f"in.{number}", item, draw(st.integers(2, 24)), draw(AMOUNTS)))
    return an_offer(groups=tuple(groups), installments=tuple(plans))


@st.composite
def carts(draw: st.DrawFn, offer: Offer) -> list[CartLine]:
    """A cart that *offer* sells, in any order."""
    chosen = draw(st.lists(st.sampled_from(offer.groups), min_size=1, unique=True))
    lines = [
        CartLine(item.item_identifier, item.parent_item_identifier, draw(UNITS))
        for group in chosen
        for item in [group.items[0], *(part for part in group.items[1:] if draw(st.booleans()))]
    ]
    return draw(st.permutations(lines))


@given(st.data())
def test_a_cart_costs_the_sum_of_unit_price_times_quantity(data: st.DataObject) -> None:
    offer = data.draw(offers())
    cart = data.draw(carts(offer))
    price_of = {
        (item.parent_item_identifier, item.item_identifier): item.price.amount_minor
        for group in offer.groups
        for item in group.items
    }

    expected = sum(price_of[line.parent_item_identifier, line.item_identifier] * line.quantity for line in cart)

    assert offer.price(cart) == Money(expected, "EUR")


@given(st.data())
def test_a_plan_changes_the_price_of_its_own_bundle_and_of_nothing_else(data: st.DataObject) -> None:
    offer = data.draw(offers())
    cart = data.draw(carts(offer))
    bundle = data.draw(st.sampled_from([line for line in cart if line.parent_item_identifier is None]))
    plan = next(plan for plan in offer.installments if plan.item_identifier == bundle.item_identifier)

    change = (plan.amount_minor - offer.lines[bundle.key].price.amount_minor) * bundle.quantity

    in_full = offer.price(cart).amount_minor
    assert offer.price(cart, plan.installment_identifier) == Money(in_full + change, "EUR")


@given(st.data())
def test_splitting_a_line_in_two_changes_nothing(data: st.DataObject) -> None:
    offer = data.draw(offers())
    cart = data.draw(carts(offer))
    line = data.draw(st.sampled_from(cart))
    parts = [CartLine(line.item_identifier, line.parent_item_identifier, n) for n in (1, line.quantity - 1) if n]

    assert offer.price([*(other for other in cart if other is not line), *parts]) == offer.price(cart)


def test_the_published_bundle_with_three_seats_on_a_plan() -> None:
    """3 x 5.00 for the seats in full, 5.10 as the first of three payments for the bundle."""
    cart = [CartLine("it.00.42"), CartLine("it.00.42.seat", "it.00.42", 3)]

    assert an_offer().price(cart) == Money(1499 + 1500, "EUR")
    assert an_offer().price(cart, "in.00.42.3") == Money(510 + 1500, "EUR")


@pytest.mark.parametrize(
    ("cart", "installment", "path"),
    [
        ([CartLine("it.unknown")], None, "order.items[0].itemIdentifier"),
        ([CartLine("it.00.42"), CartLine("it.unknown", "it.00.42")], None, "order.items[1].itemIdentifier"),
        # An add-on cannot be had as if it were a bundle, nor without its bundle, nor under another one.
        ([CartLine("it.00.42.seat")], None, "order.items[0].itemIdentifier"),
        ([CartLine("it.00.42.seat", "it.00.42")], None, "order.items[0].parentItemIdentifier"),
        ([CartLine("it.00.43"), CartLine("it.00.42.seat", "it.00.43")], None, "order.items[1].itemIdentifier"),
        # Nor by spelling its line into the identifier.
        ([CartLine("it.00.42>it.00.42.seat")], None, "order.items[0].itemIdentifier"),
        ([CartLine("it.00.43", quantity=2)], None, "order.items[0].quantity"),
        ([CartLine("it.00.43"), CartLine("it.00.43")], None, "order.items[1].quantity"),
        ([CartLine("it.00.42")], "in.unknown", "order.installmentIdentifier"),
        ([CartLine("it.00.43")], "in.00.42.3", "order.installmentIdentifier"),
    ],
)
def test_what_the_offer_does_not_sell_is_refused_by_path(
    cart: list[CartLine], installment: str | None, path: str
) -> None:
    with pytest.raises(OfferItemNotFound, match="^" + path.replace("[", r"\[").replace("]", r"\]")):
        an_offer().price(cart, installment)


@given(st.text(alphabet="a>", max_size=4), st.none() | st.text(alphabet="a>", max_size=4))
def test_only_a_line_of_the_same_two_names_meets_an_add_on_of_an_offer(item: str, parent: str | None) -> None:
    """Identifiers of an offer hold no ">": so "a>a" is the add-on a under a, whatever a cart writes."""
    assert (line_key(item, parent) == "a>a") == (item == "a" and parent == "a")
