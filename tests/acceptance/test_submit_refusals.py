"""Every 409 of contract section 2, with the body it promises, and no order behind it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from uuid import uuid4

import httpx
import pytest

from shared.domain.offers import Presentation
from tests.support.psp import until
from tests.support.stack_rows import StackRows
from tests.support.storefront import Storefront, code_of, new_correlation, new_customer
from tests.support.wire import Document, a_request, an_item, an_order, channel, fresh_card, stored_card


def refused(answer: httpx.Response, code: str, field: str = "") -> None:
    assert answer.status_code == 409, answer.text
    document = answer.json()
    assert field in document.pop("message")
    assert document == {
        "trackingNumber": None,
        "status": {"messageCode": code},
        "followUpInstructions": {"canFollowUp": False},
    }


@pytest.fixture
def customer() -> str:
    return new_customer()


@pytest.fixture
def offer(shop: Storefront, customer: str) -> str:
    return str(shop.offer(customer)["offerIdentifier"])


def test_an_offer_is_refused_from_its_last_moment_on(shop: Storefront, rows: StackRows, customer: str) -> None:
    """By the database's clock: the test waits for that clock, not for its own."""
    offer = rows.import_offer(life=timedelta(seconds=1)).offer_identifier
    until(lambda: rows.ask("SELECT 1 FROM offers WHERE offer_identifier = %s AND expires_at <= now()", offer))

    refused(shop.submit(a_request(an_order(offer, customer), fresh_card())), "OFFER_EXPIRED", "order.offerIdentifier")


def test_a_resolved_showcase_cannot_be_ordered(shop: Storefront, customer: str) -> None:
    showcase = shop.call("POST", "/c2a/offer/showcase", json={"context": {"customerUrn": customer}}).json()["offer"]

    answer = shop.submit(a_request(an_order(showcase["offerIdentifier"], customer), fresh_card()))

    refused(answer, "OFFER_NOT_PURCHASABLE", "order.offerIdentifier")


def test_an_imported_showcase_cannot_be_ordered(shop: Storefront, rows: StackRows, customer: str) -> None:
    name = f"sh_{uuid4().hex}"
    rows.import_offer(offer_identifier=name, presentation=Presentation.SHOWCASE)

    refused(shop.submit(a_request(an_order(name, customer), fresh_card())), "OFFER_NOT_PURCHASABLE")


def test_unknown_foreign_and_anothers_offers_are_the_same_refusal(
    shop: Storefront, other_shop: Storefront, offer: str, customer: str
) -> None:
    unknown = shop.submit(a_request(an_order("of_unknown", customer), fresh_card()))
    another_tenants = other_shop.submit(a_request(an_order(offer, customer), fresh_card()))
    another_customers = shop.submit(a_request(an_order(offer, new_customer()), fresh_card()))

    for answer in (unknown, another_tenants, another_customers):
        refused(answer, "OFFER_NOT_FOUND", "order.offerIdentifier")
        assert answer.json() == unknown.json()


@pytest.mark.parametrize("first_ends", [False, True], ids=["while the first lives", "after it is done"])
def test_a_single_use_offer_is_ordered_once(shop: Storefront, offer: str, customer: str, first_ends: bool) -> None:
    payment = fresh_card() if first_ends else channel("PayPal")
    first = shop.submit(a_request(an_order(offer, customer), payment)).json()["trackingNumber"]
    shop.until(first, "CHECK_OUT_DONE" if first_ends else "CHECK_OUT_3DS_REQUIRED")

    second = shop.submit(a_request(an_order(offer, customer), fresh_card()))

    refused(second, "OFFER_ALREADY_ORDERED", "order.offerIdentifier")


def test_a_failed_order_gives_its_offer_back(shop: Storefront, offer: str, customer: str) -> None:
    first = shop.submit(a_request(an_order(offer, customer), fresh_card("4000000000000002")))
    assert code_of(shop.end(first.json()["trackingNumber"])) == "CHECK_OUT_FAILED"

    second = shop.submit(a_request(an_order(offer, customer), fresh_card()))

    assert second.status_code == 202, second.text
    assert code_of(shop.end(second.json()["trackingNumber"])) == "CHECK_OUT_DONE"


def test_an_imported_offer_that_is_not_single_use_is_sold_again(
    shop: Storefront, rows: StackRows, customer: str
) -> None:
    offer = rows.import_offer(single_use=False).offer_identifier
    for _ in range(2):
        answer = shop.submit(a_request(an_order(offer, customer), fresh_card()))
        assert code_of(shop.end(answer.json()["trackingNumber"])) == "CHECK_OUT_DONE"


@pytest.mark.parametrize(("items", "more", "field"), [
    ([an_item("it.unknown")], {}, "order.items[0].itemIdentifier"),
    ([an_item(), an_item("it.unknown")], {}, "order.items[1].itemIdentifier"),
    ([an_item("it.00.42.seat")], {}, "order.items[0].itemIdentifier"),
    ([an_item("it.00.42.seat", parent="it.00.42")], {}, "order.items[0].parentItemIdentifier"),
    ([an_item(), an_item("it.00.42.seat", parent="it.00.43")], {}, "order.items[1].parentItemIdentifier"),
    ([an_item(), an_item("it.00.43.seat", parent="it.00.42")], {}, "order.items[1].itemIdentifier"),
    ([an_item("it.00.42>it.00.42.seat")], {}, "order.items[0].itemIdentifier"),
    ([an_item(quantity=11)], {}, "order.items[0].quantity"),
    ([an_item(quantity=6), an_item(quantity=5)], {}, "order.items[1].quantity"),
    ([an_item()], {"installmentIdentifier": "in.unknown"}, "order.installmentIdentifier"),
    ([an_item()], {"installmentIdentifier": "in.00.43.4"}, "order.installmentIdentifier"),
], ids=[
    "unknown item", "second item unknown", "add-on without a parent", "parent not in the cart",
    "another bundle's parent", "add-on of another bundle", "a line spelled into an item", "more than the offer has",
    "more in two lines", "unknown installment", "installment of a bundle that is not in the cart",
])  # fmt: skip
def test_what_the_offer_does_not_sell_is_named(
    shop: Storefront, offer: str, customer: str, items: list[Document], more: Document, field: str
) -> None:
    answer = shop.submit(a_request(an_order(offer, customer, *items, **more), fresh_card()))

    refused(answer, "OFFER_ITEM_NOT_FOUND", field)


def test_a_stored_method_must_be_this_customers_and_alive(shop: Storefront, offer: str, customer: str) -> None:
    """Unknown, deleted, another customer's: one answer."""
    anothers, deleted = shop.keep_card(new_customer()), shop.keep_card(customer)
    gone = shop.call("DELETE", "/c2a/customer/payment/methods/delete", params={"p": deleted})
    assert gone.status_code == 200

    for method_urn in ("pm.unknown.1", anothers, deleted):
        answer = shop.submit(a_request(an_order(offer, customer), stored_card(method_urn)))
        refused(answer, "PAYMENT_METHOD_NOT_FOUND", "paymentMethod.creditCard.storedMethodUrn")


def test_another_tenants_stored_method_is_unknown(
    shop: Storefront, other_shop: Storefront, rows: StackRows, customer: str
) -> None:
    method_urn = shop.keep_card(customer)
    rows_of_other = StackRows(rows.dsn, type(rows.tenant)(other_shop.tenant), rows.engine)
    offer = rows_of_other.import_offer().offer_identifier

    answer = other_shop.submit(a_request(an_order(offer, customer), stored_card(method_urn)))

    refused(answer, "PAYMENT_METHOD_NOT_FOUND")


def test_an_inactive_method_is_refused_until_it_is_active_again(shop: Storefront, offer: str, customer: str) -> None:
    method_urn = shop.keep_card(customer)
    request = a_request(an_order(offer, customer), stored_card(method_urn))
    assert shop.call("POST", "/c2a/customer/payment/methods/inactivate", params={"p": method_urn}).status_code == 200

    refused(shop.submit(request), "PAYMENT_METHOD_INACTIVE", "paymentMethod.creditCard.storedMethodUrn")

    assert shop.call("POST", "/c2a/customer/payment/methods/activate", params={"p": method_urn}).status_code == 200
    assert shop.submit(request).status_code == 202


def test_a_psp_the_tenant_does_not_have_is_refused(shop: Storefront, offer: str, customer: str) -> None:
    request = a_request(an_order(offer, customer), fresh_card(providerIdentifier="nowhere"))

    refused(shop.submit(request), "PROVIDER_NOT_AVAILABLE", "paymentMethod.providerIdentifier")


@pytest.fixture
def narrow_account(rows: StackRows) -> Iterator[str]:
    """A second PSP account of the demo tenant that takes SEPA only and is asked last."""
    provider = f"narrow-{uuid4().hex[:8]}"
    rows.change(
        "INSERT INTO psp_accounts (tenant_id, provider, account_id, adapter, base_url, channels, credentials, rank)"
        " SELECT tenant_id, %s, %s, adapter, base_url, '{SEPA}', credentials, 900 FROM psp_accounts"
        " WHERE tenant_id = %s AND provider = 'sandbox'",
        provider,
        uuid4().hex,
        rows.tenant,
    )
    yield provider
    rows.change("DELETE FROM psp_accounts WHERE provider = %s", provider)


def test_a_psp_without_the_channel_and_a_disabled_one_are_refused(
    shop: Storefront, rows: StackRows, offer: str, customer: str, narrow_account: str
) -> None:
    def asking(payment: Document) -> httpx.Response:
        return shop.submit(a_request(an_order(offer, customer), payment))

    refused(asking(fresh_card(providerIdentifier=narrow_account)), "PROVIDER_NOT_AVAILABLE")
    rows.change("UPDATE psp_accounts SET enabled = false WHERE provider = %s", narrow_account)
    refused(asking(channel("SEPA", providerIdentifier=narrow_account)), "PROVIDER_NOT_AVAILABLE")


def test_a_tenant_without_any_psp_is_told_so(other_shop: Storefront, rows: StackRows, customer: str) -> None:
    offer = StackRows(rows.dsn, type(rows.tenant)(other_shop.tenant), rows.engine).import_offer().offer_identifier

    answer = other_shop.submit(a_request(an_order(offer, customer), fresh_card()))

    refused(answer, "PROVIDER_NOT_AVAILABLE", "paymentMethod.paymentChannel")


def test_a_refusal_leaves_no_order_and_no_key(shop: Storefront, rows: StackRows, offer: str, customer: str) -> None:
    correlation = new_correlation()
    bad = an_order(offer, customer, an_item("it.unknown"), correlationId=correlation)
    refused(shop.submit(a_request(bad, fresh_card())), "OFFER_ITEM_NOT_FOUND")

    assert rows.ask("SELECT 1 FROM idempotency_keys WHERE key = %s", correlation) == []
    assert rows.ask("SELECT 1 FROM orders WHERE correlation_id = %s", correlation) == []
    good = an_order(offer, customer, correlationId=correlation)
    assert shop.submit(a_request(good, fresh_card())).status_code == 202
