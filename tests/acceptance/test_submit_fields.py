"""Every field of the published request: its alias, its type, its bounds, and whether it must be there (section 2)."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.support.psp_side import PspSide
from tests.support.stack_rows import StackRows
from tests.support.storefront import Storefront, code_of, new_correlation, new_customer
from tests.support.wire import (
    Document,
    a_request,
    an_item,
    an_order,
    channel,
    fresh_card,
    in_aliases,
    in_mixed_names,
    stored_card,
)

CANARY = "canary-4f1d"
"""In every wrong value that can hold text: no answer may repeat it."""


@pytest.fixture
def good(shop: Storefront) -> Document:
    """A request that is accepted as it is."""
    customer = new_customer()
    order = an_order(shop.offer(customer)["offerIdentifier"], customer)
    return a_request(order, fresh_card())


def put(document: Document, path: str, value: Any) -> Document:
    """A copy of *document* with *value* at the dotted *path*; None takes the field away."""
    changed = copy.deepcopy(document)
    *way, last = path.split(".")
    at: Any = changed
    for step in way:
        at = at[int(step)] if step.isdigit() else at[step]
    if value is None:
        del at[last]
    else:
        at[last] = value
    return changed


def refused(shop: Storefront, document: Document, code: str, path: str) -> None:
    answer = shop.submit(document)
    assert (answer.status_code, code_of(answer.json())) == (400, code), answer.text
    assert path in answer.json()["message"]
    assert CANARY not in answer.text


@pytest.mark.parametrize("path", [
    "order", "paymentMethod", "order.offerIdentifier", "order.items", "order.customer", "order.customer.customerUrn",
    "order.items.0.itemIdentifier", "paymentMethod.paymentChannel", "paymentMethod.creditCard",
    "paymentMethod.creditCard.cardHolderName", "paymentMethod.creditCard.cardNumber",
    "paymentMethod.creditCard.expireYear", "paymentMethod.creditCard.expireMonth", "paymentMethod.creditCard.cvc",
])  # fmt: skip
def test_what_is_required_is_named_when_it_is_missing(shop: Storefront, good: Document, path: str) -> None:
    refused(shop, put(good, path, None), "INVALID_REQUEST", path.replace(".0.", "[0]."))


@pytest.mark.parametrize(("path", "value"), [
    ("order", CANARY),
    ("order.offerIdentifier", 7),
    ("order.offerIdentifier", ""),
    ("order.correlationId", ""),
    ("order.correlationId", CANARY + "x" * 245),
    ("order.correlationId", 7),
    ("order.installmentIdentifier", 7),
    ("order.resellerID", CANARY),
    ("order.items", []),
    ("order.items", CANARY),
    ("order.items", [an_item()] * 101),
    ("order.items.0.itemIdentifier", 7),
    ("order.items.0.parentItemIdentifier", 7),
    ("order.items.0.quantity", 0),
    ("order.items.0.quantity", 1000),
    ("order.items.0.quantity", -1),
    ("order.items.0.quantity", 1.5),
    ("order.items.0.quantity", True),
    ("order.items.0.quantity", CANARY),
    ("order.customer", CANARY),
    ("order.customer.customerUrn", 7),
    ("order.customer.ipAddress", CANARY),
    ("order.customer.ipAddress", "203.0.113.300"),
    ("paymentMethod.paymentChannel", CANARY),
    ("paymentMethod.paymentChannel", "creditcard"),
    ("paymentMethod.providerIdentifier", 7),
    ("paymentMethod.useStoredMethod", CANARY),
    ("paymentMethod.storeMethodSuccessPayment", CANARY),
    ("paymentMethod.creditCard", CANARY),
    ("paymentMethod.creditCard.cardHolderName", 7),
    ("paymentMethod.creditCard.cardNumber", 4111111111111111),
    ("paymentMethod.creditCard.expireYear", 2029),
    ("paymentMethod.creditCard.cardAlias", 7),
    ("paymentMethod.creditCard.useStoredMethod", CANARY),
])  # fmt: skip
def test_a_value_outside_its_bounds_is_named_and_never_shown(
    shop: Storefront, good: Document, path: str, value: Any
) -> None:
    refused(shop, put(good, path, value), "INVALID_REQUEST", path.replace(".0.", "[0]."))


@pytest.mark.parametrize(("field", "value"), [
    ("cardNumber", "4111111111111112"),
    ("cardNumber", "41111111111"),
    ("cardNumber", "41111111111111111111"),
    ("cardNumber", "4111 1111 1111 1111"),
    ("cardNumber", "٤١١١١١١١١١١١١١١١"),
    ("cvc", "12"),
    ("cvc", "12345"),
    ("cvc", "abc"),
    ("expireMonth", "13"),
    ("expireMonth", "1"),
    ("expireYear", "29"),
    ("expireYear", "2020"),
])  # fmt: skip
def test_a_card_that_cannot_be_right_is_an_invalid_card(
    shop: Storefront, good: Document, field: str, value: str
) -> None:
    answer = shop.submit(put(good, f"paymentMethod.creditCard.{field}", value))

    assert (answer.status_code, code_of(answer.json())) == (400, "INVALID_CARD")
    assert f"paymentMethod.creditCard.{field}" in answer.json()["message"]
    assert value not in answer.text


@pytest.mark.parametrize(("path", "alias", "value"), [
    ("", "ORD", {}), ("", "PMT", {}), ("order", "OID", "other"), ("order", "CLD", "other"), ("order", "ITM", []),
    ("order", "CUST", {"customerUrn": "other"}), ("order.items.0", "ITM", "other"), ("order.items.0", "QTY", 7),
    ("paymentMethod", "TP", "PayPal"), ("paymentMethod", "CC", {}), ("paymentMethod.creditCard", "CHN", "Other"),
    ("paymentMethod.creditCard", "CN", "4242424242424242"), ("paymentMethod.creditCard", "EY", "2031"),
    ("paymentMethod.creditCard", "EM", "11"), ("paymentMethod.creditCard", "CVC", "321"),
])  # fmt: skip
def test_a_long_name_and_its_alias_with_two_values_are_refused(
    shop: Storefront, good: Document, path: str, alias: str, value: Any
) -> None:
    good["order"]["correlationId"] = "one"
    answer = shop.submit(put(good, f"{path}.{alias}".lstrip("."), value))

    assert (answer.status_code, code_of(answer.json())) == (400, "INVALID_REQUEST"), answer.text
    assert (path.replace(".0", "[0]") or "given twice") in answer.json()["message"]


@pytest.mark.parametrize("spelling", [dict, in_aliases, in_mixed_names])
def test_every_optional_field_is_taken_under_every_spelling(
    shop: Storefront, rows: StackRows, good: Document, spelling: Any
) -> None:
    """The fields the published examples leave out: add-on parents, installment, reseller, provider, addresses."""
    good["order"]["items"][0]["parentItemIdentifier"] = None
    good["order"]["items"] += [an_item("it.00.42.seat", parent="it.00.42", quantity=2)]
    good["order"] |= {"installmentIdentifier": "in.00.42.3", "resellerID": 42, "correlationId": new_correlation()}
    good["order"]["customer"]["ipAddress"] = "2001:db8::1"
    good["paymentMethod"] |= {"providerIdentifier": "sandbox", "storeMethodSuccessPayment": "never"}
    good["paymentMethod"]["creditCard"] |= {"cardAlias": "Blue card", "storedMethodToken": CANARY}

    answer = shop.submit(spelling(good))

    assert answer.status_code == 202, answer.text
    number = answer.json()["trackingNumber"]
    [(kept, key)] = rows.ask("SELECT request, correlation_id FROM orders WHERE tracking_number = %s", number)
    assert kept["order"] | {"correlationId": key} == good["order"]
    assert kept["paymentMethod"]["providerIdentifier"] == "sandbox"


def test_a_long_name_and_its_alias_that_agree_are_one(shop: Storefront, good: Document) -> None:
    good["order"]["OID"] = good["order"]["offerIdentifier"]

    assert shop.submit(good).status_code == 202


def test_what_is_not_a_field_is_ignored_and_kept_nowhere(shop: Storefront, rows: StackRows, good: Document) -> None:
    for place in (good, good["order"], good["order"]["items"][0], good["paymentMethod"]["creditCard"]):
        place["x-unknown"] = CANARY
    good["paymentMethod"]["creditCard"]["storedMethodToken"] = CANARY

    answer = shop.submit(good)

    assert answer.status_code == 202, answer.text
    [(kept,)] = rows.ask("SELECT orders::text FROM orders WHERE tracking_number = %s", answer.json()["trackingNumber"])
    assert CANARY not in kept


def test_quantity_is_one_where_nothing_is_said(shop: Storefront, psp: PspSide, good: Document) -> None:
    key = new_correlation()
    asked = put(put(good, "order.items.0.quantity", None), "order.correlationId", key)

    shop.end(shop.submit(asked).json()["trackingNumber"])

    assert psp.money(key) == [(1499, "EUR")]


@pytest.mark.parametrize("extra", [{"cardNumber": "4111111111111111"}, {"CN": "4242424242424242"}])
def test_a_stored_method_beside_a_card_number_is_refused(shop: Storefront, good: Document, extra: Document) -> None:
    payment = stored_card("pm.00.482.1")
    payment["creditCard"] |= extra

    refused(shop, good | {"paymentMethod": payment}, "INVALID_REQUEST", "paymentMethod.creditCard.cardNumber")


@pytest.mark.parametrize("flags", [(True, False), (False, True)])
def test_either_flag_asks_for_the_stored_flow_and_needs_its_urn(
    shop: Storefront, good: Document, flags: tuple[bool, bool]
) -> None:
    payment = {
        "paymentChannel": "CreditCard",
        "useStoredMethod": flags[0],
        "creditCard": {"useStoredMethod": flags[1]},
    }

    refused(shop, good | {"paymentMethod": payment}, "INVALID_REQUEST", "paymentMethod.creditCard.storedMethodUrn")


@pytest.mark.parametrize("name", ["PayPal", "Klarna", "SEPA", "Bank"])
def test_the_other_channels_need_no_card_and_take_none(shop: Storefront, good: Document, name: str) -> None:
    bare = shop.submit(good | {"paymentMethod": channel(name)})
    carded = good | {"paymentMethod": fresh_card(paymentChannel=name)}

    assert bare.status_code == 202, bare.text
    refused(shop, carded, "INVALID_REQUEST", "paymentMethod.creditCard")
