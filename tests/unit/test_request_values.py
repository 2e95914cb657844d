"""What a field may hold, and what is said of one that is wrong (contract sections 2, 4 and 5)."""

from __future__ import annotations

import copy
from typing import Any, Final

import pytest

from api.openapi import examples
from api.schemas.checkout import CheckoutRequest
from api.schemas.methods import AddMethodRequest
from api.schemas.offers import BundlesRequest, ShowcaseRequest
from api.validation import read
from shared.domain.refusals import InvalidRequest
from tests.support.requests import FULL, ITEM, changed, plain, refusal_of, without


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("order", "is required"),
        ("paymentMethod", "is required"),
        ("order.offerIdentifier", "is required"),
        ("order.items", "is required"),
        ("order.customer", "is required"),
        ("order.customer.customerUrn", "is required"),
        ("order.items[0].itemIdentifier", "is required"),
        ("paymentMethod.paymentChannel", "is required"),
        ("paymentMethod.creditCard", "is required"),
        ("paymentMethod.creditCard.cardHolderName", "is required"),
        ("paymentMethod.creditCard.cardNumber", "is required"),
        ("paymentMethod.creditCard.expireYear", "is required"),
        ("paymentMethod.creditCard.expireMonth", "is required"),
        ("paymentMethod.creditCard.cvc", "is required"),
    ],
)
def test_what_is_required_is_asked_for_by_path_and_null_is_nothing(path: str, why: str) -> None:
    assert refusal_of(without(path)).message == f"{path}: {why}"
    assert refusal_of(changed(path, None)).message == f"{path}: {why}"


@pytest.mark.parametrize(
    "path",
    [
        "order.correlationId",
        "order.installmentIdentifier",
        "order.resellerID",
        "order.customer.ipAddress",
        "order.items[1].parentItemIdentifier",
        "paymentMethod.providerIdentifier",
        "paymentMethod.creditCard.cardAlias",
        "paymentMethod.creditCard.storedMethodUrn",
    ],
)
def test_what_is_optional_may_be_missing_or_null(path: str) -> None:
    assert read(CheckoutRequest, without(path)) == read(CheckoutRequest, changed(path, None))


def test_quantity_is_one_and_storing_never_unless_said() -> None:
    sent = without("order.items[0].quantity")
    del sent["paymentMethod"]["storeMethodSuccessPayment"]

    request = read(CheckoutRequest, sent)

    assert request.order.items[0].quantity == 1
    assert request.payment_method.store_method_success_payment == "never"


WRONG: Final[dict[str, list[Any]]] = {
    "order.items[0].quantity": ["1", 1.0, True, 0, -1, 1_000, 10**30, [1]],
    "order.resellerID": ["7", 7.5, False, 2**53],
    "order.offerIdentifier": ["", "x" * 256, "a\nb", "a\x7fb", "\u202eof", "of\ufeff", 5, ["a"]],
    "order.correlationId": ["", "x" * 256, "a\n", "\u200bcart", {}],
    "order.customer.ipAddress": ["", "1.2.3", "1.2.3.256", "fe80::1%eth0", "١.2.3.4", 16],
    "order.items": [[], [ITEM] * 101, {}, "bn.00.42"],
    "order": [[], "x", 1],
    "paymentMethod.paymentChannel": ["creditcard", "", "Cash", 1, None],
    "paymentMethod.useStoredMethod": ["true", 1, 0],
    "paymentMethod.storeMethodSuccessPayment": ["ALWAYS", "", True],
    "paymentMethod.creditCard": ["4111", [], 4],
    "paymentMethod.creditCard.cardNumber": [4111111111111111, []],
    "paymentMethod.creditCard.cardHolderName": ["", "x" * 256, "Jane\nDoe", "\u202eJane"],
}


@pytest.mark.parametrize(("path", "value"), [(path, value) for path, values in WRONG.items() for value in values])
def test_a_wrong_value_is_refused_by_path_and_not_repeated(path: str, value: Any) -> None:
    refusal = refusal_of(changed(path, value))

    assert isinstance(refusal, InvalidRequest)
    assert refusal.message.startswith(path)
    assert len(str(value)) < 5 or str(value) not in refusal.message


@pytest.mark.parametrize("name", ["Zoë Müller", "李小龍", "علی‌رضا", "O'Brien-Smith", "👩‍🚀"])
def test_a_name_of_any_script_is_kept_as_it_is(name: str) -> None:
    card = read(CheckoutRequest, changed("paymentMethod.creditCard.cardHolderName", name)).card()

    assert card is not None
    assert card.holder_name == name


@pytest.mark.parametrize("items", [1, 100])
def test_a_cart_may_have_one_to_a_hundred_lines(items: int) -> None:
    assert len(read(CheckoutRequest, changed("order.items", [ITEM] * items)).order.items) == items


def test_unknown_fields_are_ignored_at_every_level() -> None:
    sent = copy.deepcopy(FULL)
    for part in (sent, sent["order"], sent["order"]["items"][0], sent["paymentMethod"]["creditCard"]):
        part.update({"tenant": "x", "amountMilpieces": 1, "status": {"a": 1}})

    assert plain(read(CheckoutRequest, sent)) == plain(read(CheckoutRequest, FULL))


def test_the_published_requests_are_read_as_they_are() -> None:
    assert read(CheckoutRequest, examples.FRESH_CARD).payment_method.keeps_method
    assert read(CheckoutRequest, examples.STORED_CARD).stored_method_urn == "pm.00.482.7"
    assert read(BundlesRequest, examples.BUNDLES).context.promotion_code == "CMP1WKWAFY"
    assert read(ShowcaseRequest, examples.SHOWCASE).context.interaction_type is None
    assert read(AddMethodRequest, examples.ADD_METHOD).card().alias == "Personal Visa"


def test_bundles_need_to_know_why_the_customer_is_here_and_a_showcase_does_not() -> None:
    assert refusal_of({"context": {}}, BundlesRequest).message == "context.interactionType: is required"
    assert read(ShowcaseRequest, {"context": {}}).context.customer_urn is None


@pytest.mark.parametrize(
    ("path", "value", "at"),
    [
        ("paymentMethod.paymentChannel", "PayPal", "paymentMethod.creditCard"),
        ("paymentMethod.creditCard", {"useStoredMethod": True, "storedMethodUrn": "pm.1.1"}, "paymentMethod.useStored"),
    ],
)
def test_only_a_fresh_card_can_be_added(path: str, value: Any, at: str) -> None:
    assert refusal_of(changed(path, value, examples.ADD_METHOD), AddMethodRequest).message.startswith(at)


def test_a_paypal_account_cannot_be_added() -> None:
    sent = {"customerUrn": "cu.1", "paymentMethod": {"paymentChannel": "PayPal"}}

    assert refusal_of(sent, AddMethodRequest).message.startswith("paymentMethod.paymentChannel: is not one of")


def test_a_hundred_wrong_fields_are_told_ten_at_a_time() -> None:
    refusal = refusal_of(changed("order.items", [{"quantity": 0}] * 100))

    assert refusal.message.count(";") == 9
