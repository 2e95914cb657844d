"""A visitor of the shop page whose every card is a canary: orders taken and refused, forms that are none, addresses."""

from __future__ import annotations

import re
from html import unescape
from typing import Final

import httpx

from tests.leaks.shopper import Shopper, insist
from tests.support.demo_shop import FIELD
from tests.support.kept_connections import KEPT
from tests.support.wire import Document

FORM: Final = "/demo/orders"
NUMBER: Final = re.compile(r"/demo/orders/(trk_\w{26})")
ELSEWHERE: Final = ("key", "offer", "item", "method", "keep", "said.it.00.42", "form_token")
"""Fields of the form in which no card belongs."""


def visits(shopper: Shopper) -> None:
    """Whatever can be done with a card at the shop page."""
    with httpx.Client(base_url=shopper.stack.base_url, timeout=30, trust_env=False, limits=KEPT) as browser:
        browser.event_hooks = {"response": [shopper.hear]}
        form = _form(browser, shopper)
        _bought(browser, shopper, form)
        browser.post(FORM, data=form | _typed(shopper))  # Under the key of an order that is there.
        _refused(browser, shopper)
        stray = shopper.stray()
        for path in (f"/demo?item={stray}", f"/demo/orders/{stray}", f"/demo/return?trackingNumber={stray}"):
            browser.get(path)
        browser.post("/demo/cards/forget", data={"form_token": form["form_token"], "method": stray})


def _bought(browser: httpx.Client, shopper: Shopper, form: Document) -> None:
    answer = insist(lambda: browser.post(FORM, data=form))
    found = NUMBER.fullmatch(answer.headers.get("location", ""))
    assert found is not None, answer.text
    shopper.took(found[1])
    for path in (found[0], f"{found[0]}/panel"):
        browser.get(path)


def _refused(browser: httpx.Client, shopper: Shopper) -> None:
    for wrong in ({"month": "13"}, {"year": "2019"}, {"cvc": "1"}, {"number": f"{shopper.stray()}0"}, {"key": ""}):
        browser.post(FORM, data=_form(browser, shopper) | wrong)
    for name in ELSEWHERE:
        browser.post(FORM, data=_form(browser, shopper) | {name: shopper.stray()})
    browser.post(FORM, json=_form(browser, shopper))
    browser.get(FORM, params=_typed(shopper))


def _form(browser: httpx.Client, shopper: Shopper) -> Document:
    """A fresh page's form, filled in with a card nobody else has."""
    page = insist(lambda: browser.get("/demo")).text.partition("</form>")[0]
    hidden = {name: unescape(value) for name, value in FIELD.findall(page)}
    return hidden | _typed(shopper) | {"item": "it.00.42", "method": "", "keep": "yes"}


def _typed(shopper: Shopper) -> Document:
    card = shopper.card()["creditCard"]
    return {
        "number": card["cardNumber"],
        "holder": card["cardHolderName"],
        "year": card["expireYear"],
        "month": card["expireMonth"],
        "cvc": card["cvc"],
    }
