"""What a line of an imported file must look like, and how its faults are told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.cli.catalogue import _parse as parse_catalogue_line
from shared.cli.catalogue_rules import CatalogueRules
from shared.cli.lines import BadLine, Unreadable, json_object
from shared.cli.offers import _parse as parse_offer_line
from shared.store.offer_wire import to_wire
from tests.support.catalogue import an_offer, bundle_line, promotion_line

SECRET = "zq7secret"


def line(document: Any) -> bytes:
    """*document* as a line of a file."""
    return json.dumps(document).encode() + b"\n"


@pytest.mark.parametrize(
    ("document", "path"),
    [
        (bundle_line(kind="other"), "kind"),
        (bundle_line(kind=["bundle"]), "kind"),
        (bundle_line(bundleUrn=7), "bundleUrn"),
        (bundle_line(bundleUrn=""), "bundleUrn"),
        (bundle_line(itemIdentifier="a>b"), "itemIdentifier"),
        (bundle_line(name="two\nlines"), "name"),
        (bundle_line(price={"amountMilpieces": 14.99, "currency": "EUR"}), "price.amountMilpieces"),
        (bundle_line(price={"amountMilpieces": "1499", "currency": "EUR"}), "price.amountMilpieces"),
        (bundle_line(price={"amountMilpieces": True, "currency": "EUR"}), "price.amountMilpieces"),
        (bundle_line(price={"amountMilpieces": -1, "currency": "EUR"}), "price.amountMilpieces"),
        (bundle_line(price={"amountMilpieces": 10**12, "currency": "EUR"}), "price.amountMilpieces"),
        (bundle_line(price={"amountMilpieces": 1499, "currency": "eur"}), "price.currency"),
        (bundle_line(maxQuantity=0), "maxQuantity"),
        (bundle_line(maxQuantity=1000), "maxQuantity"),
        (bundle_line(productGroupType=SECRET), "productGroupType"),
        (bundle_line(interactionTypes=[SECRET]), "interactionTypes[0]"),
        (bundle_line(maxQuantitty=1), "maxQuantitty"),
        (bundle_line(addOns=[{"itemIdentifier": "a", "name": "A", "amountMilpieces": 1}] * 2), "addOns"),
        (
            bundle_line(installments=[{"installmentIdentifier": "i", "count": 1, "amountMilpieces": 1}]),
            "installments[0].count",
        ),
        (promotion_line(percentOff=101), "percentOff"),
        (promotion_line(amountOff=5, currency="EUR"), "give either percentOff or amountOff"),
        (promotion_line(percentOff=None), "give either percentOff or amountOff"),
        (promotion_line(percentOff=None, amountOff=5), "currency"),
        (promotion_line(currency="EUR"), "currency"),
        (promotion_line(validUntil="2030-01-01"), "validUntil"),
        (promotion_line(validUntil="0001-01-01T00:00:00+05:00"), "validUntil"),
        (promotion_line(bundles=[]), "bundles"),
        (promotion_line(bundles=SECRET), "bundles"),
    ],
)
def test_a_catalogue_line_at_fault_is_told_by_path_and_without_its_value(document: Any, path: str) -> None:
    with pytest.raises(Unreadable, match="^" + path.replace("[", r"\[").replace(".", r"\.")) as refused:
        parse_catalogue_line(line(document))

    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"{", "not JSON"),
        (b"[]", "not a JSON object"),
        (b'{"kind": "bundle", "kind": "bundle"}', "told twice"),
        (b'{"price": {"amountMilpieces": 1, "amountMilpieces": 2}}', "told twice"),
        (b'{"percentOff": NaN}', "NaN"),
        (b'{"a":' * 50_000, "not JSON"),
        ('{"name": "über"}'.encode("latin-1"), "not JSON"),
    ],
)
def test_what_is_not_one_plain_json_object_is_told_so(raw: bytes, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        json_object(raw)


def judged(*documents: dict[str, Any]) -> CatalogueRules:
    """The rules after a file of *documents*."""
    rules = CatalogueRules()
    for number, document in enumerate(documents, 1):
        rules.take(number, parse_catalogue_line(line(document)))
    rules.end()
    return rules


PLAN = {"installmentIdentifier": "in.1", "count": 2, "amountMilpieces": 1}


@pytest.mark.parametrize(
    ("documents", "reason"),
    [
        ([bundle_line(), bundle_line(itemIdentifier="it.2")], "line 2: bundleUrn: already on line 1"),
        ([bundle_line(), bundle_line(bundleUrn="bn.2")], "line 2: itemIdentifier: already on line 1"),
        ([promotion_line(), promotion_line()], "line 2: code: already on line 1"),
        (
            [bundle_line(installments=[PLAN, PLAN])],
            "line 1: installments[1].installmentIdentifier: already on line 1",
        ),
        (
            [
                bundle_line(installments=[PLAN]),
                bundle_line(bundleUrn="bn.2", itemIdentifier="it.2", installments=[PLAN]),
            ],
            "line 2: installments[0].installmentIdentifier: already on line 1",
        ),
        (
            [bundle_line(), promotion_line(bundles=["bn.00.42", "bn.x"])],
            "line 2: bundles[1]: no bundle of the file has this bundleUrn",
        ),
        (
            [bundle_line(bundleUrn=f"bn.{n}", itemIdentifier=f"it.{n}") for n in range(101)],
            "line 101: storefrontUrn: a storefront has at most 100 bundles",
        ),
    ],
)
def test_lines_that_contradict_each_other_are_told_by_number(documents: list[dict[str, Any]], reason: str) -> None:
    with pytest.raises(BadLine) as refused:
        judged(*documents)

    assert refused.value.message.startswith(reason)


def test_two_storefronts_may_use_the_same_item_identifier() -> None:
    rules = judged(
        bundle_line(), bundle_line(bundleUrn="bn.2", storefrontUrn="st.2"), promotion_line(), promotion_line(code="B")
    )

    assert (rules.bundles, rules.promotions) == (2, 2)


def test_an_offer_reads_back_as_it_was_written() -> None:
    offer = an_offer(customer_urn="cu.00.482")

    assert parse_offer_line(line(to_wire(offer) | {"customerUrn": "cu.00.482"})).offer() == offer


def an_offer_line(**replaced: Any) -> dict[str, Any]:
    """An offer as a line of a file."""
    return to_wire(an_offer()) | replaced


def item(**replaced: Any) -> dict[str, Any]:
    """A bundle item."""
    price = {"amountMilpieces": 1, "currency": "EUR"}
    return {"itemIdentifier": "i", "kind": "Bundle", "name": "I", "price": price, "maxQuantity": 1} | replaced


def groups(*items: dict[str, Any]) -> dict[str, Any]:
    """An offer line that sells *items*."""
    return an_offer_line(artifactGroups=[{"bundleUrn": "bn", "name": "B", "items": list(items)}], installments=[])


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (an_offer_line(offerIdentifier="xx_1"), "offerIdentifier"),
        (an_offer_line(offerIdentifier="sh_1"), "offerIdentifier: of_ is for Purchase"),
        (an_offer_line(presentationType="Showcase"), "offerIdentifier: of_ is for Purchase"),
        (an_offer_line(singleUse="yes"), "singleUse"),
        (an_offer_line(expiresAt="2099-01-01T00:00:00"), "expiresAt"),
        (an_offer_line(currency="USD"), "artifactGroups: every price"),
        (an_offer_line(artifactGroups=[]), "artifactGroups"),
        (groups(item(kind="AddOn")), "artifactGroups: an AddOn names its bundle"),
        (groups(item(), item(itemIdentifier="j", parentItemIdentifier="i")), "artifactGroups: an AddOn names"),
        (groups(item(kind="AddOn", parentItemIdentifier="elsewhere")), "artifactGroups: an AddOn names"),
        (groups(item(), item()), "artifactGroups: two items"),
        (an_offer_line(installments=[PLAN | {"itemIdentifier": "it.unknown"}]), "installments: itemIdentifier"),
        (an_offer_line(installments=[PLAN | {"itemIdentifier": "it.00.42"}] * 2), "installments: two"),
        (an_offer_line(total=1), "total"),
    ],
)
def test_an_offer_that_does_not_hang_together_is_refused(document: Any, reason: str) -> None:
    with pytest.raises(Unreadable, match="^" + reason):
        parse_offer_line(line(document))
