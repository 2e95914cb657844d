"""3DS and the redirect channels, end to end: the page, the signed return, the webhook; either alone, or both."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.support.psp import until
from tests.support.psp_side import PspSide
from tests.support.stack_rows import StackRows
from tests.support.storefront import CHALLENGED, DONE, FAILED, Storefront, code_of, new_correlation, new_customer
from tests.support.wire import Document, channel, fresh_card, stored_card

PUBLISHED_PRICE = 1499
THREE_DS = "4000002760003184"

WAYS: list[tuple[str, Document]] = [
    ("3DS", fresh_card(THREE_DS)),
    ("3DS, kept", fresh_card(THREE_DS, storeMethodSuccessPayment="always")),
    ("PayPal", channel("PayPal")),
    ("Klarna", channel("Klarna")),
    ("Bank", channel("Bank")),
]
EVERY_WAY = pytest.mark.parametrize("payment", [way for _, way in WAYS], ids=[name for name, _ in WAYS])


class Waiting:
    """An order whose shopper stands before the challenge page."""

    def __init__(self, shop: Storefront, psp: PspSide, rows: StackRows, payment: Document) -> None:
        self.shop, self.psp, self.rows = shop, psp, rows
        self.correlation = new_correlation()
        self.number = shop.order(payment, correlationId=self.correlation)
        self.redirect = shop.until(self.number, CHALLENGED)["redirectInstructions"]
        self.page: str = self.redirect["redirectUrl"]

    def is_done_once(self) -> None:
        """DONE, one capture in the ledger, and each thing happened once."""
        assert code_of(self.shop.end(self.number)) == DONE
        assert self.psp.money(self.correlation) == [(PUBLISHED_PRICE, "EUR")]
        events = self.rows.events(self.number)
        assert len(events) == len(set(events)), events
        assert events.count("payment_captured") == 1

    def webhook(self, kind: str) -> Document:
        """The PSP's webhook of this kind about the order, once it exists."""
        found: list[Document] = until(
            lambda: [one for one in self.psp.webhooks(self.correlation) if one["type"] == kind], seconds=10
        )
        return found[0]


@pytest.fixture
def waiting(shop: Storefront, psp: PspSide, rows: StackRows) -> Callable[[Document], Waiting]:
    return lambda payment: Waiting(shop, psp, rows, payment)


@EVERY_WAY
def test_an_approved_payment_is_done_and_the_shopper_is_thanked(
    waiting: Callable[[Document], Waiting], psp: PspSide, payment: Document
) -> None:
    order = waiting(payment)
    page = psp.page(order.page)
    assert page.status_code == 200
    assert "14.99 EUR" in page.text

    landed = psp.come_back(psp.decide(order.page, "approve"))

    assert landed.status_code == 200
    assert order.number in landed.text
    order.is_done_once()


@EVERY_WAY
def test_the_webhook_alone_is_enough(
    waiting: Callable[[Document], Waiting], psp: PspSide, rows: StackRows, payment: Document
) -> None:
    """The shopper presses the button and closes the browser."""
    order = waiting(payment)

    psp.decide(order.page, "approve")

    order.is_done_once()
    assert rows.actor(order.number, "payment_captured") == "webhook"


@EVERY_WAY
def test_the_return_alone_is_enough(
    waiting: Callable[[Document], Waiting], psp: PspSide, rows: StackRows, payment: Document
) -> None:
    """Every webhook is lost. A bank transfer that is pending needs one in the end: there, only that it moved on."""
    psp.set_faults(webhook={"lossRate": 1.0})
    order = waiting(payment)

    psp.come_back(psp.decide(order.page, "approve"))

    if payment["paymentChannel"] == "Bank":
        until(lambda: "payment_pending" in rows.events(order.number), seconds=15)
        assert rows.actor(order.number, "payment_pending") == "look_up"
        psp.heal()
        psp.send_again(order.webhook("charge.captured")["id"])
    else:
        order.is_done_once()
        assert rows.actor(order.number, "payment_captured") == "look_up"
    order.is_done_once()


def test_the_webhook_before_the_return_does_it_once(waiting: Callable[[Document], Waiting], psp: PspSide) -> None:
    order = waiting(fresh_card(THREE_DS))
    back = psp.decide(order.page, "approve")
    until(lambda: order.webhook("charge.captured")["state"] == "delivered", seconds=10)

    assert psp.come_back(back).status_code == 200

    order.is_done_once()


def test_the_return_before_the_webhook_does_it_once(waiting: Callable[[Document], Waiting], psp: PspSide) -> None:
    psp.set_faults(webhook={"lossRate": 1.0})
    order = waiting(fresh_card(THREE_DS))
    psp.come_back(psp.decide(order.page, "approve"))
    order.is_done_once()

    psp.heal()
    psp.send_again(order.webhook("charge.captured")["id"])
    until(lambda: order.webhook("charge.captured")["state"] == "delivered", seconds=10)

    order.is_done_once()


def test_webhooks_that_come_late_doubled_and_out_of_order_do_it_once(
    waiting: Callable[[Document], Waiting], psp: PspSide
) -> None:
    psp.set_faults(webhook={"delayMs": 100, "jitterMs": 400, "duplicate": 1.0, "reorder": 0.5})
    order = waiting(fresh_card(THREE_DS))

    back = psp.decide(order.page, "approve")
    psp.come_back(back)
    psp.come_back(back)

    order.is_done_once()
    event = order.webhook("charge.captured")["id"]
    psp.send_again(event)
    until(lambda: order.webhook("charge.captured")["tries"] >= 3, seconds=10)
    order.is_done_once()


@EVERY_WAY
@pytest.mark.parametrize("decision", ["decline", "cancel"])
@pytest.mark.parametrize("comes_back", [True, False])
def test_a_shopper_who_says_no_fails_the_order_without_money(
    waiting: Callable[[Document], Waiting], psp: PspSide, payment: Document, decision: str, comes_back: bool
) -> None:
    order = waiting(payment)

    back = psp.decide(order.page, decision)
    if comes_back:
        psp.come_back(back)

    ended = order.shop.end(order.number)
    assert (code_of(ended), ended["message"]) == (FAILED, "CHALLENGE_FAILED")
    assert psp.money(order.correlation) == []


def test_an_issuer_may_decline_after_the_challenge(waiting: Callable[[Document], Waiting], psp: PspSide) -> None:
    order = waiting(fresh_card("4000008400001629"))

    psp.come_back(psp.decide(order.page, "approve"))

    assert order.shop.end(order.number)["message"] == "CARD_DECLINED: generic_decline"
    assert psp.money(order.correlation) == []


def test_a_stored_card_may_be_challenged_too(shop: Storefront, psp: PspSide, rows: StackRows) -> None:
    customer, correlation = new_customer(), new_correlation()
    method_urn = shop.keep_card(customer, THREE_DS)
    number = shop.order(stored_card(method_urn), customer=customer, correlationId=correlation)

    page = shop.until(number, CHALLENGED)["redirectInstructions"]["redirectUrl"]
    psp.come_back(psp.decide(page, "approve"))

    assert code_of(shop.end(number)) == DONE
    assert psp.money(correlation) == [(PUBLISHED_PRICE, "EUR")]


def test_a_kept_card_is_stored_after_its_challenge(shop: Storefront, psp: PspSide) -> None:
    customer = new_customer()
    number = shop.order(fresh_card(THREE_DS, storeMethodSuccessPayment="always"), customer=customer)
    psp.decide(shop.until(number, CHALLENGED)["redirectInstructions"]["redirectUrl"], "approve")
    shop.end(number)

    listed = shop.call("GET", "/c2a/customer/payment/methods/list", params={"c": customer}).json()["result"]

    assert [method["maskedCardNumber"] for method in listed] == ["400000******3184"]


def test_sepa_is_taken_without_a_page_and_done_when_it_settles(shop: Storefront, psp: PspSide, rows: StackRows) -> None:
    correlation = new_correlation()
    number = shop.order(channel("SEPA"), correlationId=correlation)

    assert code_of(shop.end(number)) == DONE
    assert psp.money(correlation) == [(PUBLISHED_PRICE, "EUR")]
    assert "payment_pending" in rows.events(number)
    assert "shopper_challenged" not in rows.events(number)


def test_a_return_that_was_not_signed_for_the_order_asks_nobody(
    waiting: Callable[[Document], Waiting], psp: PspSide, rows: StackRows
) -> None:
    """A forged state, none, and another order's: the same plain page, and the order stays where it is."""
    psp.set_faults(webhook={"lossRate": 1.0})
    order, other = waiting(channel("PayPal")), waiting(channel("PayPal"))
    back, others_back = psp.decide(order.page, "approve"), psp.decide(other.page, "approve")
    bare, _, state = back.partition("?")

    for forged in (bare, f"{bare}?state=", f"{bare}?{state[:-1]}x", f"{bare}?{others_back.partition('?')[2]}"):
        answer = psp.come_back(forged)
        assert answer.status_code == 400
        assert order.number not in answer.text
    assert rows.state(order.number) == "challenge"

    assert httpx.post(back).status_code == 200  # Some PSPs come back by POST.
    order.is_done_once()


@pytest.fixture
def tenants_own_page(rows: StackRows) -> Iterator[str]:
    """The page to which the demo tenant wants its shoppers sent."""
    page = "https://shop.example/thanks?from=checkout"
    [(before,)] = rows.ask("SELECT settings FROM tenants WHERE tenant_id = %s", rows.tenant)
    change = "UPDATE tenants SET settings = %s WHERE tenant_id = %s"
    rows.change(change, json.dumps(before | {"return_url": page}), rows.tenant)
    yield page
    rows.change(change, json.dumps(before), rows.tenant)


def test_a_shopper_goes_on_to_the_tenants_own_page(
    waiting: Callable[[Document], Waiting], psp: PspSide, tenants_own_page: str
) -> None:
    order = waiting(channel("PayPal"))

    answer = psp.come_back(psp.decide(order.page, "approve"))

    assert answer.status_code == 303
    assert answer.headers["location"] == f"{tenants_own_page}&trackingNumber={order.number}"
    order.is_done_once()
