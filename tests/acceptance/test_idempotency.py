"""One key, one order: what a repeat is answered, and what counts as a repeat (contract section 2, Idempotency)."""

from __future__ import annotations

import copy
from typing import Any

import httpx
import pytest

from tests.support.psp_side import PspSide
from tests.support.stack_rows import StackRows
from tests.support.storefront import CHALLENGED, DONE, FAILED, Storefront, code_of, new_correlation, new_customer
from tests.support.wire import (
    Document,
    a_request,
    an_item,
    an_order,
    channel,
    fresh_card,
    in_aliases,
    in_mixed_names,
)


def a_good_request(shop: Storefront, payment: Document | None = None, **more: Any) -> Document:
    customer = new_customer()
    order = an_order(shop.offer(customer)["offerIdentifier"], customer, **more)
    return a_request(order, payment or fresh_card())


def replayed(first: httpx.Response, again: httpx.Response) -> Document:
    assert again.status_code == 202, again.text
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["location"] == first.headers["location"]
    document: Document = again.json()
    assert document["trackingNumber"] == first.json()["trackingNumber"]
    return document


def test_a_repeat_while_the_order_runs_is_told_where_it_stands(shop: Storefront) -> None:
    request = a_good_request(shop, channel("PayPal"), correlationId=new_correlation())
    first = shop.submit(request)
    shop.until(first.json()["trackingNumber"], CHALLENGED)

    again = replayed(first, shop.submit(request))

    assert code_of(again) == CHALLENGED
    assert again["redirectInstructions"]["isRedirectRequired"] is True


def test_a_repeat_after_success_is_told_done(shop: Storefront) -> None:
    request = a_good_request(shop, correlationId=new_correlation())
    first = shop.submit(request)
    shop.end(first.json()["trackingNumber"])

    again = shop.submit(request)

    assert replayed(first, again) == {
        "trackingNumber": first.json()["trackingNumber"],
        "status": {"messageCode": DONE},
        "followUpInstructions": {"canFollowUp": False},
    }
    assert "retry-after" not in again.headers


def test_a_repeat_after_failure_is_told_failed_and_why(shop: Storefront) -> None:
    request = a_good_request(shop, fresh_card("4000000000009995"), correlationId=new_correlation())
    first = shop.submit(request)
    shop.end(first.json()["trackingNumber"])

    again = replayed(first, shop.submit(request))

    assert (code_of(again), again["message"]) == (FAILED, "CARD_DECLINED: insufficient_funds")


def test_a_repeat_is_answered_after_its_offer_expired(shop: Storefront, rows: StackRows) -> None:
    request = a_good_request(shop, correlationId=new_correlation())
    first = shop.submit(request)
    rows.change(
        "UPDATE offers SET expires_at = now() - interval '1 s' WHERE offer_identifier = %s",
        request["order"]["offerIdentifier"],
    )

    replayed(first, shop.submit(request))


def test_the_header_is_the_key_where_the_body_has_none(shop: Storefront, psp: PspSide) -> None:
    request, key = a_good_request(shop), new_correlation()
    first = shop.submit(request, headers={"Idempotency-Key": key})
    assert "idempotent-replayed" not in first.headers

    replayed(first, shop.submit(request, headers={"Idempotency-Key": key}))

    shop.end(first.json()["trackingNumber"])
    assert len(psp.money(key)) == 1


def test_header_and_correlation_id_that_agree_are_one_key(shop: Storefront) -> None:
    key = new_correlation()
    request = a_good_request(shop, correlationId=key)
    first = shop.submit(request)

    replayed(first, shop.submit(request, headers={"Idempotency-Key": key}))


@pytest.mark.parametrize("in_body_first", [True, False], ids=["body, then header", "header, then body"])
def test_one_key_by_either_carrier_is_one_order(shop: Storefront, *, in_body_first: bool) -> None:
    key, request = new_correlation(), a_good_request(shop)
    ways = [({**request, "order": {**request["order"], "correlationId": key}}, {}), (request, {"Idempotency-Key": key})]
    one, other = ways if in_body_first else reversed(ways)
    first = shop.submit(one[0], headers=one[1])

    replayed(first, shop.submit(other[0], headers=other[1]))


def test_header_and_correlation_id_that_differ_are_refused(shop: Storefront) -> None:
    request = a_good_request(shop, correlationId=new_correlation())

    answer = shop.submit(request, headers={"Idempotency-Key": new_correlation()})

    assert (answer.status_code, code_of(answer.json())) == (400, "INVALID_REQUEST")
    assert "order.correlationId" in answer.json()["message"]


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_a_key_outside_its_bounds_is_refused(shop: Storefront, key: str) -> None:
    answer = shop.submit(a_good_request(shop), headers={"Idempotency-Key": key})

    assert (answer.status_code, code_of(answer.json())) == (400, "INVALID_REQUEST")


def test_without_a_key_every_call_is_a_new_order(shop: Storefront, rows: StackRows) -> None:
    offer = rows.import_offer(single_use=False).offer_identifier
    request = a_request(an_order(offer, new_customer()), fresh_card())

    numbers = {shop.submit(request).json()["trackingNumber"] for _ in range(3)}

    assert len(numbers) == 3


@pytest.mark.parametrize("spelling", [in_aliases, in_mixed_names])
def test_the_same_order_in_another_spelling_is_the_same_order(shop: Storefront, spelling: Any) -> None:
    request = a_good_request(shop, correlationId=new_correlation())
    first = shop.submit(request)
    explicit = copy.deepcopy(request)
    explicit["paymentMethod"]["storeMethodSuccessPayment"] = "never"  # The default, said aloud.
    explicit["x-unknown"] = "ignored"

    replayed(first, shop.submit(spelling(explicit), prefix="/api"))


@pytest.mark.parametrize(("field", "value"), [("cvc", "321"), ("storedMethodToken", "whatever")])
def test_the_cvc_and_the_ignored_token_are_not_compared(shop: Storefront, field: str, value: str) -> None:
    request = a_good_request(shop, correlationId=new_correlation())
    first = shop.submit(request)
    request["paymentMethod"]["creditCard"][field] = value

    replayed(first, shop.submit(request))


@pytest.mark.parametrize(("path", "value"), [
    (("order", "offerIdentifier"), "of_another"),
    (("order", "installmentIdentifier"), "in.00.42.3"),
    (("order", "resellerID"), 7),
    (("order", "items", 0, "itemIdentifier"), "it.00.43"),
    (("order", "items", 0, "quantity"), 2),
    (("order", "items", 0, "parentItemIdentifier"), "it.00.43"),
    (("order", "customer", "customerUrn"), "cu.another"),
    (("order", "customer", "ipAddress"), "203.0.113.9"),
    (("paymentMethod", "providerIdentifier"), "sandbox"),
    (("paymentMethod", "storeMethodSuccessPayment"), "always"),
    (("paymentMethod", "creditCard", "cardHolderName"), "John Doe"),
    (("paymentMethod", "creditCard", "cardNumber"), "4242424242424242"),
    (("paymentMethod", "creditCard", "expireYear"), "2031"),
    (("paymentMethod", "creditCard", "expireMonth"), "11"),
    (("paymentMethod", "creditCard", "cardAlias"), "Another"),
])  # fmt: skip
def test_another_order_under_the_same_key_is_a_conflict_that_names_what_differs(
    shop: Storefront, rows: StackRows, path: tuple[Any, ...], value: Any
) -> None:
    request = a_good_request(shop, correlationId=new_correlation())
    first = shop.submit(request)
    other = copy.deepcopy(request)
    at: Any = other
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value

    answer = shop.submit(other)

    named = ".".join(str(step) for step in path).replace(".0.", "[0].")
    assert (answer.status_code, code_of(answer.json())) == (409, "IDEMPOTENCY_CONFLICT"), answer.text
    assert answer.json()["message"].endswith(f"differs in: {named}")
    assert str(value) not in answer.text.replace(named, "")
    orders = rows.ask("SELECT 1 FROM orders WHERE correlation_id = %s", request["order"]["correlationId"])
    assert len(orders) == 1
    replayed(first, shop.submit(request))


def test_a_conflict_names_a_whole_line_that_is_new(shop: Storefront) -> None:
    request = a_good_request(shop, correlationId=new_correlation())
    shop.submit(request)
    request["order"]["items"].append(an_item("it.00.43"))

    message = shop.submit(request).json()["message"]

    assert "order.items[1].itemIdentifier" in message
    assert "order.items[0]" not in message


def test_two_tenants_may_use_one_key(shop: Storefront, other_shop: Storefront) -> None:
    """The other tenant has no such offer: it is told so, and nothing of ours."""
    request = a_good_request(shop, correlationId=new_correlation())
    shop.submit(request)

    assert code_of(other_shop.submit(request).json()) == "OFFER_NOT_FOUND"
