"""A shopper's browser goes through the challenge: the page, the button, the way back to the shop."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.support.psp_side import PspSide
from tests.support.storefront import CHALLENGED, DONE, FAILED, Storefront, code_of, new_correlation
from tests.support.wire import Document, channel, fresh_card

WAYS = [fresh_card("4000002760003184"), channel("PayPal"), channel("Klarna"), channel("Bank")]
EVERY_WAY = pytest.mark.parametrize("payment", WAYS, ids=["3DS", "PayPal", "Klarna", "Bank"])


def at_the_page(shop: Storefront, page: Page, payment: Document) -> tuple[str, str]:
    """Order and open redirectUrl; the tracking number and the correlationId."""
    correlation = new_correlation()
    number = shop.order(payment, correlationId=correlation)
    page.goto(shop.until(number, CHALLENGED)["redirectInstructions"]["redirectUrl"])
    expect(page.get_by_text("14.99 EUR")).to_be_visible()
    return number, correlation


def is_back(page: Page, number: str) -> None:
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
    expect(page.get_by_text(number)).to_be_visible()
    assert urlsplit(page.url).path == f"/api/v1/c2a/offer/checkout/{number}/return"


@EVERY_WAY
def test_who_approves_lands_on_the_return_page_and_the_order_is_done(
    shop: Storefront, psp: PspSide, page: Page, payment: Document
) -> None:
    number, correlation = at_the_page(shop, page, payment)

    page.get_by_role("button", name="Approve").click()

    is_back(page, number)
    assert code_of(shop.end(number)) == DONE
    assert psp.money(correlation) == [(1499, "EUR")]


@EVERY_WAY
@pytest.mark.parametrize("button", ["Decline", "Cancel and return"])
def test_who_declines_or_cancels_comes_back_too_and_the_order_failed(
    shop: Storefront, psp: PspSide, page: Page, payment: Document, button: str
) -> None:
    number, correlation = at_the_page(shop, page, payment)

    page.get_by_role("button", name=button).click()

    is_back(page, number)
    ended = shop.end(number)
    assert (code_of(ended), ended["message"]) == (FAILED, "CHALLENGE_FAILED")
    assert psp.money(correlation) == []


def test_a_page_that_was_decided_shows_how_and_leads_back(shop: Storefront, psp: PspSide, page: Page) -> None:
    """The shopper presses the browser's own back button, or opens the link of the mail again."""
    number, _ = at_the_page(shop, page, channel("PayPal"))
    asked = page.url
    page.get_by_role("button", name="Approve").click()
    is_back(page, number)

    page.goto(asked)

    expect(page.get_by_text("This payment was approved.")).to_be_visible()
    expect(page.get_by_role("button", name="Approve")).to_have_count(0)
    way_back = page.get_by_role("link", name="Return to the shop")
    expect(way_back).not_to_have_css("color", "rgb(255, 255, 255)")  # On white paper: it was, and nobody saw it.
    way_back.click()
    is_back(page, number)


def test_a_forged_way_back_tells_nothing_of_any_order(shop: Storefront, page: Page) -> None:
    number = shop.order(channel("PayPal"))

    page.goto(f"{shop.base_url}/api/v1/c2a/offer/checkout/{number}/return?state=forged")

    expect(page.get_by_role("heading", name="This address is not valid")).to_be_visible()
    assert number not in page.locator("body").inner_text()


def test_the_pages_load_nothing_and_run_no_script(shop: Storefront, page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    number, _ = at_the_page(shop, page, channel("PayPal"))
    page.get_by_role("button", name="Approve").click()
    is_back(page, number)

    hosts = {urlsplit(url).netloc for url in asked}
    kinds = {urlsplit(url).path.rsplit(".", 1)[-1] for url in asked if "." in urlsplit(url).path}
    assert hosts == {urlsplit(asked[0]).netloc, urlsplit(shop.base_url).netloc}
    assert kinds <= {"ico"}
