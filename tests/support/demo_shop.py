"""A visitor of the shop page, without a browser: loads its pages and sends the forms they show."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import unescape
from typing import Any, Final

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from api.demo.shopper import COOKIE, Shopper
from tests.support.console import said
from tests.support.wire import GOOD_CARD

FIELD: Final = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)">')
"""A hidden field of a form: its name, and its value as HTML spells it."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """One browser's way to the shop."""

    client: FlaskClient

    @classmethod
    def of(cls, app: Flask) -> Visitor:
        """A browser that was nowhere yet."""
        return cls(app.test_client())

    def get(self, path: str = "/demo") -> TestResponse:
        """A page."""
        return self.client.get(path)

    def text(self, path: str = "/demo") -> str:
        """What a page says, its marks taken away."""
        return said(self.get(path))

    def form(self) -> dict[str, str]:
        """The order's form as a fresh page shows it, filled in: the first bundle, a card that pays."""
        page = self.get()
        assert page.status_code == 200, page.text
        order, _, _ = page.text.partition("</form>")
        hidden = {name: unescape(value) for name, value in FIELD.findall(order)}
        typed = {"number": GOOD_CARD, "holder": "Jane Doe", "month": "12", "year": "2029", "cvc": "123"}
        return hidden | typed | {"item": "it.00.42", "method": ""}

    def send(self, form: dict[str, str], **replaced: Any) -> TestResponse:
        """Send an order's form."""
        return self.client.post("/demo/orders", data=form | replaced)

    def forget(self, method: str) -> TestResponse:
        """Send the form that forgets a stored card."""
        form = {"form_token": self.form()["form_token"], "method": method}
        return self.client.post("/demo/cards/forget", data=form)

    @property
    def customer(self) -> str:
        """Their name at the API; they have loaded a page."""
        cookie = self.client.get_cookie(COOKIE, path="/demo")
        assert cookie is not None
        return Shopper(cookie.value, is_new=False).customer_urn
