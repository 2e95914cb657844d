"""What is charged is what the offer shows: quantities, add-ons, installments, promotions, and nothing a caller says."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from shared.domain.money import Money
from shared.domain.offers import ArtifactGroup, Installment, ItemKind, OfferItem
from tests.support.psp_side import PspSide
from tests.support.stack_rows import StackRows
from tests.support.storefront import DONE, Storefront, code_of, new_correlation, new_customer
from tests.support.wire import Document, a_request, an_item, an_order, channel, fresh_card

SEAT = "it.00.42.seat"


def charged(shop: Storefront, psp: PspSide, document: Document) -> list[tuple[int, str]]:
    """What the PSP's ledger holds of *document*, an order with a correlationId, once it is done."""
    answer = shop.submit(document)
    assert answer.status_code == 202, answer.text
    assert code_of(shop.end(answer.json()["trackingNumber"])) == DONE
    return psp.money(document["order"]["correlationId"])


@pytest.mark.parametrize(("items", "more", "promotion", "owed"), [
    ([an_item()], {}, None, 1499),
    ([an_item(quantity=3)], {}, None, 3 * 1499),
    ([an_item(), an_item(quantity=2)], {}, None, 3 * 1499),
    ([an_item(), an_item(SEAT, parent="it.00.42", quantity=4)], {}, None, 1499 + 4 * 500),
    ([an_item(), an_item("it.00.42.support", parent="it.00.42")], {}, None, 1499 + 990),
    ([an_item(), an_item("it.00.43")], {}, None, 1499 + 14990),
    ([an_item()], {"installmentIdentifier": "in.00.42.3"}, None, 510),
    ([an_item(quantity=2)], {"installmentIdentifier": "in.00.42.3"}, None, 2 * 510),
    ([an_item(), an_item(SEAT, parent="it.00.42")], {"installmentIdentifier": "in.00.42.3"}, None, 510 + 500),
    ([an_item("it.00.43"), an_item()], {"installmentIdentifier": "in.00.43.12"}, None, 1349 + 1499),
    ([an_item()], {}, "CMP1WKWAFY", 1199),
    ([an_item(quantity=10)], {}, "CMP1WKWAFY", 10 * 1199),
    ([an_item("it.00.43")], {}, "CMP1WKWAFY", 11992),
], ids=[
    "one", "three of one", "one in two lines", "with seats", "with support", "two bundles", "first of three payments",
    "two on a plan", "a plan and an add-on", "one of two on a plan", "promotion", "ten with promotion",
    "the yearly with promotion",
])  # fmt: skip
def test_the_ledger_holds_exactly_what_the_cart_costs(
    shop: Storefront, psp: PspSide, items: list[Document], more: Document, promotion: str | None, owed: int
) -> None:
    customer = new_customer()
    offer = shop.offer(customer, **({"promotionCode": promotion} if promotion else {}))
    order = an_order(offer["offerIdentifier"], customer, *items, correlationId=new_correlation(), **more)

    assert charged(shop, psp, a_request(order, fresh_card())) == [(owed, "EUR")]


def test_a_promotion_reduces_what_the_offer_shows_and_what_is_charged_alike(shop: Storefront, psp: PspSide) -> None:
    """Add-ons and plans too: whatever the offer says is owed, to the cent."""
    customer = new_customer()
    offer = shop.offer(customer, promotionCode="CMP1WKWAFY")
    shown = {
        item["itemIdentifier"]: item["price"]["amountMilpieces"]
        for group in offer["artifactGroups"]
        for item in group["items"]
    }
    items = [an_item(quantity=2), an_item(SEAT, parent="it.00.42", quantity=3)]
    order = an_order(offer["offerIdentifier"], customer, *items, correlationId=new_correlation())

    owed = 2 * shown["it.00.42"] + 3 * shown[SEAT]

    assert shown["it.00.42"] == 1199
    assert charged(shop, psp, a_request(order, fresh_card())) == [(owed, "EUR")]


def test_prices_in_a_request_change_nothing(shop: Storefront, psp: PspSide) -> None:
    customer = new_customer()
    order = an_order(shop.offer(customer)["offerIdentifier"], customer, correlationId=new_correlation())
    cheap: Any = {"amountMilpieces": 1, "currency": "EUR"}
    tampered = copy.deepcopy(a_request(order, fresh_card()))
    for place in (tampered, tampered["order"], tampered["order"]["items"][0], tampered["paymentMethod"]):
        place |= {"price": cheap, "amountMilpieces": 1, "amountMinor": 1, "total": 1, "discount": 100}
    tampered["order"]["artifactGroups"] = []

    assert charged(shop, psp, tampered) == [(1499, "EUR")]


def test_the_catalogue_may_change_and_the_offer_does_not(shop: Storefront, psp: PspSide, rows: StackRows) -> None:
    """An imported offer has prices of its own, whatever the catalogue says of the same item."""
    item = OfferItem("it.00.42", ItemKind.BUNDLE, "Pro Monthly", Money(777, "EUR"), 5)
    offer = rows.import_offer(groups=(ArtifactGroup("bn.00.42", "Pro Monthly", (item,)),), installments=())
    customer = new_customer()
    order = an_order(offer.offer_identifier, customer, an_item(quantity=5), correlationId=new_correlation())

    assert charged(shop, psp, a_request(order, fresh_card())) == [(5 * 777, "EUR")]


@pytest.mark.parametrize(("currency", "amount"), [("JPY", 1500), ("KWD", 4995), ("USD", 1), ("EUR", 99_999_999)])
def test_money_is_counted_in_minor_units_of_any_currency(
    shop: Storefront, psp: PspSide, rows: StackRows, currency: str, amount: int
) -> None:
    item = OfferItem("it.x", ItemKind.BUNDLE, "Anything", Money(amount, currency), 1)
    plan = Installment("in.x", "it.x", 2, amount)
    offer = rows.import_offer(
        currency=currency, groups=(ArtifactGroup("bn.x", "Anything", (item,)),), installments=(plan,)
    )
    order = an_order(offer.offer_identifier, new_customer(), an_item("it.x"), correlationId=new_correlation())

    assert charged(shop, psp, a_request(order, channel("SEPA"))) == [(amount, currency)]
