"""A shopper at the shop page, in a real browser: chooses, pays, follows the order live, confirms at the bank."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_plus, urlsplit

import psycopg
import pytest
from playwright.sync_api import Browser, Page, expect

from deploy.stack.shop_page import TENANT_ID
from tests.support.psp_side import PspSide
from tests.support.stack import Stack

PAID: Final = "Thank you, it is paid"
DECLINED: Final = "The card was declined"
ASKED: Final = "Your bank asks you to confirm"
VISA, THREE_DS, THREE_DS_NO, POOR = "4111 1111", "4000 0027", "4000 0084", "4000 0000 0000 9995"
PHONE: Final = {"width": 375, "height": 740}
NAMED: Final = re.compile(r"""- '?\w+ "[^"]""")
"""How Playwright tells of something that has an accessible name."""
SECRET: Final = re.compile(r"4111\W?1111\W?1111|sk_dev_")
"""The front of the card that pays here, as it is typed or without its gaps, and of a secret key."""
SLOW_MS: Final = 1_500
"""Longer than a page takes to load: whoever waits for the end has seen the page before it."""

LONG_MS: Final = 5_000
"""Long enough to do something meanwhile; the PSP is given up after twice as long."""


@pytest.fixture
def shop_url(stack: Stack) -> str:
    return stack.shop_url


@pytest.fixture
def front(page: Page, shop_url: str) -> Page:
    """The shop's front, seen for the first time."""
    page.goto(shop_url)
    return page


def pay(page: Page, card: str, *, bundle: str = "Pro Monthly", keep: bool = True) -> None:
    """Choose a bundle and a test card, and press the button."""
    page.get_by_label(bundle).check()
    page.get_by_role("button", name=card).click()
    page.get_by_label("Store this card for next time").set_checked(keep)
    page.get_by_role("button", name=re.compile("^Pay ")).click()


def said(page: Page, title: str) -> None:
    """The page says it, at once or when its order has moved."""
    expect(page.get_by_role("heading", name=title)).to_be_visible()


def number_on(page: Page) -> str:
    """The order that the page follows."""
    number = page.locator("#order").get_attribute("data-number")
    assert number is not None
    return number


@dataclass(frozen=True, slots=True)
class Books:
    """What the PSP knows of the shop's orders."""

    psp: PspSide
    dsn: str

    def states(self, page: Page) -> list[str]:
        """Of each charge of the order that the page follows."""
        return [str(charge["state"]) for charge in self.psp.charges(self._reference(page))]

    def money(self, page: Page) -> list[tuple[int, str]]:
        """What it holds for that order."""
        return self.psp.money(self._reference(page))

    def _reference(self, page: Page) -> str:
        query = "SELECT DISTINCT merchant_reference FROM payment_attempts WHERE tracking_number = %s"
        with psycopg.connect(self.dsn, autocommit=True) as conn:
            ((reference,),) = conn.execute(query, [number_on(page)]).fetchall()
        return str(reference)


@pytest.fixture
def books(stack: Stack, psp: PspSide) -> Books:
    return Books(psp, stack.postgres_dsn)


def test_who_picks_a_bundle_and_pays_watches_the_order_to_its_end(front: Page, psp: PspSide, books: Books) -> None:
    psp.set_faults(latencyMs=LONG_MS)
    loads: list[str] = []
    front.on("load", lambda loaded: loads.append(loaded.url))
    expect(front.get_by_role("button", name="Pay 14.99 EUR")).to_be_visible()
    front.get_by_label("Pro Yearly").check()
    expect(front.get_by_role("button", name="Pay 149.90 EUR")).to_be_visible()

    pay(front, VISA, bundle="Team Monthly")

    said(front, "One moment")
    expect(front.get_by_text("Team Monthly, 49.99 EUR")).to_be_visible()
    said(front, PAID)
    assert len(loads) == 1, "it was followed live: the order's page was loaded once"
    assert books.money(front) == [(4999, "EUR")]
    front.get_by_role("link", name="Buy something else").click()
    said(front, "Choose what you like")


def test_a_lost_line_is_told_and_the_order_is_followed_on(front: Page, psp: PspSide) -> None:
    psp.set_faults(latencyMs=LONG_MS)
    pay(front, VISA)
    said(front, "One moment")

    front.context.set_offline(True)
    expect(front.get_by_text("No answer just now; trying again.")).to_be_visible()
    front.context.set_offline(False)

    said(front, PAID)


def test_who_passes_the_challenge_comes_back_to_the_paid_order(front: Page, books: Books) -> None:
    pay(front, THREE_DS)
    front.get_by_role("button", name="Approve").click()

    said(front, PAID)
    assert urlsplit(front.url).path == f"/demo/orders/{number_on(front)}"
    expect(front.get_by_text("Pro Monthly, 14.99 EUR")).to_be_visible()
    assert books.money(front) == [(1499, "EUR")]


@pytest.mark.parametrize("button", ["Decline", "Cancel and return"])
def test_who_refuses_the_challenge_is_told_that_nothing_was_charged(front: Page, books: Books, button: str) -> None:
    pay(front, THREE_DS)
    front.get_by_role("button", name=button).click()

    said(front, "The payment was not confirmed")
    expect(front.get_by_text("Nothing was charged.")).to_be_visible()
    assert books.states(front) in (["declined"], ["voided"])


def test_a_bank_that_declines_after_the_challenge_is_told_as_a_decline(front: Page, books: Books) -> None:
    pay(front, THREE_DS_NO)
    front.get_by_role("button", name="Approve").click()

    said(front, DECLINED)
    assert books.states(front) == ["declined"]


def test_who_goes_back_from_the_bank_is_not_sent_off_again_and_may_go_on(
    stack: Stack, front: Page, shop_url: str
) -> None:
    pay(front, THREE_DS)
    expect(front.get_by_role("button", name="Approve")).to_be_visible()

    front.go_back()

    said(front, ASKED)
    with psycopg.connect(stack.postgres_dsn, autocommit=True) as conn:  # More time than this stack gives a shopper.
        later = "UPDATE orders SET deadline_at = now() + interval '10 minutes' WHERE tracking_number = %s"
        conn.execute(later, [number_on(front)])
    assert front.url.startswith(shop_url)
    front.get_by_role("link", name="Continue at your bank").click()
    front.get_by_role("button", name="Approve").click()
    said(front, PAID)


def test_a_declined_card_is_told_and_the_second_try_is_paid_once(front: Page, books: Books) -> None:
    pay(front, POOR, bundle="Pro Yearly")
    said(front, DECLINED)
    expect(front.get_by_text("There is not enough money on this card. Nothing was charged.")).to_be_visible()
    assert books.states(front) == ["declined"]
    declined = number_on(front)

    front.get_by_role("link", name="Try again").click()
    expect(front.get_by_label("Pro Yearly")).to_be_checked()
    pay(front, VISA, bundle="Pro Yearly")

    said(front, PAID)
    assert number_on(front) != declined
    assert books.money(front) == [(14990, "EUR")]


def test_the_stored_card_is_there_next_time_pays_and_can_be_forgotten(
    front: Page, books: Books, shop_url: str, browser: Browser
) -> None:
    pay(front, VISA)
    said(front, PAID)

    front.get_by_role("link", name="Demo shop").click()
    expect(front.get_by_role("link", name="Pro Monthly, 14.99 EUR")).to_be_visible()  # The last order.
    expect(front.get_by_label("VISA ending in 1111")).to_be_checked()
    expect(front.get_by_label("Card number")).to_be_hidden()
    front.get_by_role("button", name="Pay 14.99 EUR").click()
    said(front, PAID)
    assert books.money(front) == [(1499, "EUR")]

    stranger = browser.new_context()
    other = stranger.new_page()
    other.goto(shop_url)
    expect(other.get_by_label("VISA ending in 1111")).to_have_count(0)
    stranger.close()

    front.goto(shop_url)
    front.get_by_label("Another card").check()
    expect(front.get_by_label("Card number")).to_be_visible()
    front.get_by_role("button", name="Forget the card ending in 1111").click()
    expect(front.get_by_label("VISA ending in 1111")).to_have_count(0)


def test_a_card_that_is_not_to_be_stored_is_not(front: Page, shop_url: str) -> None:
    pay(front, VISA, keep=False)
    said(front, PAID)

    front.goto(shop_url)

    expect(front.get_by_label("VISA ending in 1111")).to_have_count(0)


def test_a_mistyped_card_is_asked_for_again(front: Page) -> None:
    front.get_by_label("Card number").fill("4111 1111 1111 1112")
    front.get_by_role("button", name=re.compile("^Pay ")).click()

    expect(front.get_by_role("alert")).to_contain_text("Please look at your card again")
    expect(front.get_by_label("Card number")).to_have_value("")


@contextmanager
def account_elsewhere(stack: Stack) -> Iterator[None]:
    """The shop's tenant has an account at another PSP for a while, which takes no payments."""
    another = (
        "INSERT INTO psp_accounts SELECT (jsonb_populate_record(one, jsonb_build_object('provider', 'other',"
        " 'account_id', 'acc-other', 'adapter', 'adyen', 'enabled', false))).* FROM psp_accounts one"
        " WHERE tenant_id = %s"
    )
    with psycopg.connect(stack.postgres_dsn, autocommit=True) as conn:
        conn.execute(another, [TENANT_ID])
        yield
        conn.execute("DELETE FROM psp_accounts WHERE account_id = 'acc-other'")


def test_a_tenant_with_an_account_elsewhere_has_no_page(stack: Stack, front: Page, shop_url: str) -> None:
    with account_elsewhere(stack):
        closed = front.goto(shop_url)
        assert closed is not None
        assert closed.status == 404
        expect(front.get_by_label("Pro Monthly")).to_have_count(0)
    opened = front.goto(shop_url)
    assert opened is not None
    assert opened.status == 200


def test_an_order_goes_through_where_no_script_runs(browser: Browser, shop_url: str, psp: PspSide) -> None:
    psp.set_faults(latencyMs=SLOW_MS)
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(shop_url)
    page.get_by_label("Card number").fill("4111 1111 1111 1111")
    page.get_by_role("button", name="Pay").click()

    said(page, PAID)
    context.close()


def test_it_works_by_keyboard_alone(front: Page) -> None:
    front.keyboard.press("Tab")
    expect(front.get_by_role("link", name="Skip to the content")).to_be_in_viewport()
    front.keyboard.press("Enter")
    front.keyboard.press("Tab")
    expect(front.get_by_label("Pro Monthly")).to_be_focused()
    front.keyboard.press("ArrowDown")
    expect(front.get_by_label("Pro Yearly")).to_be_checked()
    front.keyboard.press("Tab")
    card = front.get_by_role("button", name=VISA)
    expect(card).to_be_focused()
    expect(card).not_to_have_css("outline-style", "none")
    front.keyboard.press("Enter")
    expect(front.get_by_role("button", name="Pay 149.90 EUR")).to_be_focused()
    front.keyboard.press("Enter")

    said(front, PAID)


def test_dark_where_the_shopper_wants_it_dark(shop_url: str, browser: Browser) -> None:
    papers = []
    for scheme in ("light", "dark"):
        context = browser.new_context(color_scheme=scheme)
        page = context.new_page()
        page.goto(shop_url)
        papers.append(page.locator("body").evaluate("one => getComputedStyle(one).backgroundColor"))
        context.close()
    light, dark = (sum(map(int, paper.removeprefix("rgb(").removesuffix(")").split(","))) for paper in papers)
    assert dark < 150 < 600 < light


def test_a_phone_shows_every_page_without_scrolling_sideways(shop_url: str, browser: Browser) -> None:
    context = browser.new_context(viewport=PHONE, has_touch=True, is_mobile=True)  # type: ignore[arg-type]
    page = context.new_page()

    def fits() -> None:
        widths = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert widths == [PHONE["width"], PHONE["width"]], page.url
        small = "one => one.offsetParent && one.offsetHeight < 24"
        found = page.evaluate(f"[...document.querySelectorAll('button, .choice, .tick')].filter({small}).length")
        assert found == 0, page.url

    page.goto(shop_url)
    fits()
    pay(page, VISA)
    said(page, PAID)
    fits()
    page.goto(shop_url)
    fits()
    context.close()


def test_whatever_can_be_used_has_a_name_and_nothing_comes_from_elsewhere(
    stack: Stack, page: Page, shop_url: str
) -> None:
    asked: list[str] = []
    troubles: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda line: troubles.append(line.text) if line.type == "error" else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))

    def all_named() -> None:
        for role in ("button", "link", "textbox", "combobox", "radio", "checkbox", "group"):
            nameless = [one for one in page.get_by_role(role).all() if not NAMED.match(one.aria_snapshot())]
            assert nameless == [], f"{role} at {page.url}"
        assert page.locator("h1").count() == 1

    page.goto(shop_url)
    all_named()
    pay(page, VISA)
    said(page, PAID)
    all_named()
    page.goto(shop_url)
    all_named()
    assert {urlsplit(url).netloc for url in asked} == {urlsplit(stack.base_url).netloc}
    assert not [url for url in asked if SECRET.search(unquote_plus(url))]
    assert troubles == []
