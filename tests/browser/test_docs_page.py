"""The page of the OpenAPI document shows every operation and loads nothing from another host."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.support.storefront import Storefront

OPERATIONS = [
    ("POST", "/c2a/offer/checkout"),
    ("GET", "/status"),
    ("POST", "/c2a/offer/bundles"),
    ("POST", "/c2a/offer/showcase"),
    ("POST", "/c2a/customer/payment/methods/add"),
    ("GET", "/c2a/customer/payment/methods/list"),
    ("GET", "/c2a/customer/payment/methods/info"),
    ("DELETE", "/c2a/customer/payment/methods/delete"),
    ("POST", "/c2a/customer/payment/methods/activate"),
    ("POST", "/c2a/customer/payment/methods/inactivate"),
]
"""Contract sections 2 to 5."""


@pytest.mark.parametrize("prefix", ["/api/v1", "/api"])
def test_it_shows_every_operation_and_asks_no_other_host(shop: Storefront, page: Page, prefix: str) -> None:
    asked: list[str] = []
    troubles: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda line: troubles.append(line.text) if line.type == "error" else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))

    page.goto(f"{shop.base_url}{prefix}/c2a/docs")

    for method, path in OPERATIONS:
        row = page.locator(".opblock-summary", has_text=path).filter(has_text=method)
        expect(row.first).to_be_visible()
    page.wait_for_load_state("networkidle")
    hosts = {urlsplit(url).netloc for url in asked if urlsplit(url).scheme in ("http", "https")}
    assert hosts == {urlsplit(shop.base_url).netloc}
    assert troubles == []


def test_an_operation_opens_and_shows_its_fields_and_examples(shop: Storefront, page: Page) -> None:
    page.goto(f"{shop.base_url}/api/v1/c2a/docs")

    page.locator(".opblock-summary", has_text="/c2a/offer/checkout").first.click()

    opened = page.locator(".opblock.is-open")
    expect(opened.get_by_text("offerIdentifier").first).to_be_visible()
    expect(opened.get_by_text("202").first).to_be_visible()
    expect(opened.get_by_text("409").first).to_be_visible()
