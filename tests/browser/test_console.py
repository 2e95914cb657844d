"""An operator at the console, in a real browser: logs in, finds an order, sees why it is stuck, and ends it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import text

from tests.support.psp import until
from tests.support.psp_side import PspSide
from tests.support.stack import Stack
from tests.support.stack_rows import StackRows
from tests.support.storefront import CHALLENGED, DONE, Storefront, code_of, new_correlation
from tests.support.wire import channel, fresh_card

NAME = "Ana Keller"
NAMED = re.compile(r"""- '?\w+ "[^"]""")
"""How Playwright tells of something that has an accessible name."""
PHONE = {"width": 375, "height": 740}


@pytest.fixture(scope="session")
def rows(stack: Stack) -> Iterator[StackRows]:
    """The stack's database."""
    made = StackRows.of(stack.postgres_dsn, stack.tenant)
    yield made
    made.engine.dispose()


def log_in(stack: Stack, page: Page, where: str = "/ops") -> None:
    """As an operator does who was sent an address."""
    page.goto(stack.base_url + where)
    page.get_by_label("Your name").fill(NAME)
    page.get_by_label("Operator key").fill(stack.operator_key)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("button", name="Log out")).to_be_visible()


@pytest.fixture
def console(stack: Stack, page: Page) -> Page:
    """The overview, logged in."""
    log_in(stack, page)
    return page


def a_challenge(shop: Storefront, rows: StackRows, *, parked: bool = False) -> str:
    """An order whose shopper must act, with time enough for a test to look at it."""
    number = shop.order(channel("PayPal"))
    shop.until(number, CHALLENGED)
    with rows.engine.begin() as conn:
        conn.execute(
            text(
                "UPDATE orders SET deadline_at = now() + interval '1 h', due_at = now() + interval '1 h',"
                " parked = :parked, crashes = :crashes WHERE tracking_number = :n"
            ),
            {"n": number, "parked": parked, "crashes": 5 if parked else 0},
        )
    return number


def ask(page: Page, name: str, why: str, **more: str) -> None:
    """Open an action's form, fill it in and send it."""
    form = page.locator("details.ask").filter(has=page.get_by_text(name, exact=True))
    form.locator("summary").click()
    for label, value in more.items():
        form.get_by_label(label.replace("_", " ")).fill(value)
    form.get_by_label("Why").fill(why)
    form.get_by_role("button", name=name).click()


def test_a_parked_order_is_found_understood_unparked_and_cancelled(
    shop: Storefront, rows: StackRows, psp: PspSide, console: Page
) -> None:
    number = a_challenge(shop, rows, parked=True)
    console.goto(console.url)
    stuck = console.get_by_role("region", name="Stuck orders")
    stuck.get_by_role("link", name=number).click()

    expect(console.get_by_role("heading", name=number)).to_be_visible()
    expect(console.get_by_text("It is parked: 5 workers died over it")).to_be_visible()
    expect(console.get_by_text("The shopper was asked to confirm the payment at sandbox, attempt 1.")).to_be_visible()
    ask(console, "Unpark", "mended in 1.4.2")
    expect(console.get_by_role("status")).to_contain_text("Unpark: done.")
    expect(console.get_by_text("Not unpark: it is not parked.")).to_be_visible()

    ask(console, "Cancel, with void", "the shopper called, ticket 4711")
    expect(console.get_by_role("status")).to_contain_text("Cancel: begun.")
    assert shop.end(number)["message"] == "CANCELLED"
    console.reload()
    acted = console.get_by_role("region", name="What operators did")
    expect(acted).to_contain_text("“the shopper called, ticket 4711”")
    expect(acted).to_contain_text(f"by {NAME}, key ")
    assert [charge["state"] for charge in psp.charges(number)] == ["voided"]


def test_a_done_order_is_found_by_its_correlation_id_and_refunded_in_part(
    shop: Storefront, psp: PspSide, console: Page
) -> None:
    correlation = new_correlation()
    number = shop.order(fresh_card(), correlationId=correlation)
    assert code_of(shop.end(number)) == DONE
    console.get_by_role("link", name="Orders", exact=True).click()
    console.get_by_label("correlationId").fill(correlation)
    console.get_by_role("button", name="Find").click()
    console.get_by_role("link", name=number).click()

    ask(console, "Refund a part", "one of three came broken", How_much="5.00")

    expect(console.get_by_role("status")).to_contain_text("Refund: begun. 500 EUR (minor units) go back")
    given = console.get_by_text("The refund of 500 EUR (minor units) went back to the shopper.")
    for _ in range(100):  # The page of an order is a moment of it: who waits loads it again, for half a minute here.
        if given.count():
            break
        console.reload()
        console.wait_for_timeout(250)
    expect(given).to_be_visible()
    assert psp.money(correlation) == [(999, "EUR")]


def test_what_is_typed_wrongly_is_said_and_what_was_typed_stays(shop: Storefront, console: Page) -> None:
    number = shop.order(fresh_card())
    shop.end(number)
    console.goto(f"{shop.base_url}/ops/orders/{number}")

    ask(console, "Refund a part", "a slip", How_much="5.001")

    expect(console.get_by_role("alert")).to_contain_text("amount: say it as 5.00")
    expect(console.locator("details[open]").get_by_label("Why")).to_have_value("a slip")


def test_a_form_with_a_wrong_token_is_refused(shop: Storefront, rows: StackRows, console: Page) -> None:
    number = a_challenge(shop, rows)
    console.goto(f"{shop.base_url}/ops/orders/{number}")
    console.evaluate("document.querySelectorAll('[name=form_token]').forEach(one => one.value = 'forged')")

    ask(console, "Cancel, with void", "forged")

    expect(console.get_by_role("heading", name="Refused")).to_be_visible()
    expect(console.get_by_text("Nothing was done")).to_be_visible()
    assert code_of(shop.status(number)) == CHALLENGED


def test_the_overview_refreshes_itself_and_keeps_the_place_of_whoever_reads_it(
    shop: Storefront, rows: StackRows, console: Page
) -> None:
    before = console.locator("#live-at").inner_text()
    console.get_by_role("link", name="challenge", exact=True).focus()
    number = a_challenge(shop, rows, parked=True)

    expect(console.get_by_role("region", name="Stuck orders").get_by_role("link", name=number)).to_be_visible()

    assert console.locator("#live-at").inner_text() != before
    expect(console.get_by_role("link", name="challenge", exact=True)).to_be_focused()
    expect(console.get_by_role("img", name="Orders accepted in each 5 seconds")).to_be_visible()


def test_an_overview_whose_session_is_over_says_so(console: Page) -> None:
    console.context.clear_cookies()

    expect(console.locator("#live-state")).to_contain_text("Your session is over")


BROKEN_WORDS = """() => {
  const broken = [];
  for (const cell of document.querySelectorAll("td:not(.correlation), tbody th")) {
    const texts = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) for (const word of texts.currentNode.data.matchAll(/\\S+/g)) {
      const range = document.createRange();
      range.setStart(texts.currentNode, word.index);
      range.setEnd(texts.currentNode, word.index + word[0].length);
      if (range.getClientRects().length > 1 && !cell.querySelector("code")) broken.push(word[0]);
    }
  }
  return broken;
}"""
"""The words of the tables that do not stand on one line; numbers and a storefront's own names may go on in the next."""


@pytest.mark.parametrize("where", ["/ops", "/ops/orders"])
@pytest.mark.parametrize("width", [700, 1100])
def test_a_word_of_a_table_stands_on_one_line(
    shop: Storefront, rows: StackRows, console: Page, where: str, width: int
) -> None:
    a_challenge(shop, rows, parked=True)
    console.set_viewport_size({"width": width, "height": 800})
    console.goto(urlsplit(console.url)._replace(path=where).geturl())
    expect(console.locator("main tbody tr").first).to_be_visible()

    assert console.evaluate(BROKEN_WORDS) == []


def test_it_works_by_keyboard_alone(stack: Stack, shop: Storefront, rows: StackRows, page: Page) -> None:
    number = a_challenge(shop, rows)
    page.goto(f"{stack.base_url}/ops/orders/{number}")
    page.get_by_label("Your name").focus()
    page.keyboard.type(NAME)
    page.keyboard.press("Tab")
    page.keyboard.type(stack.operator_key)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=number)).to_be_visible()

    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    expect(page.get_by_role("link", name="Skip to the content")).to_be_in_viewport()
    page.keyboard.press("Enter")
    reached = page.locator("summary", has_text="Cancel, with void")
    for _ in range(10):
        page.keyboard.press("Tab")
        if reached.evaluate("one => one === document.activeElement"):
            break
    expect(reached).to_be_focused()
    expect(reached).not_to_have_css("outline-style", "none")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.type("by keyboard")
    page.keyboard.press("Enter")

    expect(page.get_by_role("status")).to_contain_text("Cancel: begun.")
    assert shop.end(number)["message"] == "CANCELLED"


def test_dark_where_the_reader_wants_it_dark(stack: Stack, browser: Browser) -> None:
    papers = []
    for scheme in ("light", "dark"):
        context = browser.new_context(color_scheme=scheme)
        page = context.new_page()
        page.goto(f"{stack.base_url}/ops/login")
        papers.append(page.locator("body").evaluate("one => getComputedStyle(one).backgroundColor"))
        context.close()
    light, dark = (sum(map(int, paper.removeprefix("rgb(").removesuffix(")").split(","))) for paper in papers)
    assert dark < 150 < 600 < light


def test_a_phone_shows_every_page_without_scrolling_sideways(
    stack: Stack, shop: Storefront, rows: StackRows, browser: Browser
) -> None:
    number = shop.order(fresh_card(), correlationId=f"co-{'long' * 50}")
    shop.end(number)
    parked = a_challenge(shop, rows, parked=True)
    context = browser.new_context(viewport=PHONE, has_touch=True, is_mobile=True)  # type: ignore[arg-type]
    page = context.new_page()
    log_in(stack, page)
    for path in ("/ops", "/ops/orders", f"/ops/orders/{number}", f"/ops/orders/{parked}", "/ops/webhooks"):
        page.goto(stack.base_url + path)
        for form in page.locator("details").all():
            form.locator("summary").click()
        widths = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert widths == [PHONE["width"], PHONE["width"]], path
        small = page.evaluate(
            "[...document.querySelectorAll('button, summary')].filter(o => o.offsetHeight < 24).length"
        )
        assert small == 0, path
    context.close()


def test_whatever_can_be_used_has_a_name_and_nothing_comes_from_elsewhere(
    stack: Stack, shop: Storefront, rows: StackRows, page: Page
) -> None:
    number = a_challenge(shop, rows, parked=True)
    asked: list[str] = []
    troubles: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda line: troubles.append(line.text) if line.type == "error" else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    log_in(stack, page)
    for path in ("/ops", "/ops/orders?state=stuck", f"/ops/orders/{number}", "/ops/webhooks"):
        page.goto(stack.base_url + path)
        page.wait_for_load_state("networkidle")
        for form in page.locator("details").all():
            form.locator("summary").click()
        for role in ("button", "link", "textbox", "combobox", "img", "region"):
            shown = page.get_by_role(role)
            nameless = [one for one in shown.all() if not NAMED.match(one.aria_snapshot())]
            assert nameless == [], f"{role} at {path}"
        assert page.locator("h1").count() == 1
    assert {urlsplit(url).netloc for url in asked} == {urlsplit(stack.base_url).netloc}
    assert not [url for url in asked if stack.operator_key in url]
    assert troubles == []


def test_who_logs_out_is_out_also_by_the_back_button(stack: Stack, console: Page) -> None:
    console.get_by_role("link", name="Orders", exact=True).click()
    expect(console.get_by_role("heading", name="Orders")).to_be_visible()
    console.get_by_role("button", name="Log out").click()
    expect(console.get_by_role("heading", name="Log in")).to_be_visible()

    console.go_back()

    expect(console.get_by_role("heading", name="Log in")).to_be_visible()


def attempt(page: Page, key: str) -> int:
    """Try *key* at the login that *page* shows; the status it was answered with."""
    page.get_by_label("Your name").fill(NAME)
    page.get_by_label("Operator key").fill(key)
    with page.expect_response(lambda answer: answer.request.method == "POST") as answered:
        page.get_by_role("button", name="Log in").click()
    page.wait_for_load_state()
    return answered.value.status


def test_who_tried_too_many_keys_is_told_how_long_to_wait_and_gets_in_then(stack: Stack, page: Page) -> None:
    page.goto(f"{stack.base_url}/ops/login")
    until(lambda: attempt(page, "sk_dev_mistyped") == 429, seconds=60)
    told = re.compile(r"Too many keys were tried\. .* wait (a second|\d+ seconds), then try again\.")
    expect(page.get_by_role("alert")).to_have_text(told)
    expect(page.get_by_label("Operator key")).to_have_value("")
    until(lambda: attempt(page, stack.operator_key) == 303, seconds=60)
    expect(page.get_by_role("button", name="Log out")).to_be_visible()
