"""An operator at the console, without a browser: logs in as a browser would, and sends the forms it was shown."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from html import unescape
from typing import Any, Final

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

NAME: Final = "Ana"
_HIDDEN: Final = re.compile(r'name="form_token" value="([^"]+)"')


def token_of(page: TestResponse) -> str:
    """The token that stands in a page's forms."""
    found = _HIDDEN.search(page.text)
    assert found is not None, page.text
    return found[1]


@dataclass(frozen=True, slots=True)
class Console:
    """One operator's way to the console."""

    client: FlaskClient

    def get(self, path: str, **query: str) -> TestResponse:
        """A page."""
        return self.client.get(path, query_string=query or None)

    def live(self) -> dict[str, Any]:
        """What the overview asks for by itself."""
        document: dict[str, Any] = self.get("/ops/live").get_json()
        return document

    def text(self, path: str, **query: str) -> str:
        """What a page says, its marks taken away."""
        page = self.get(path, **query)
        assert page.status_code == 200, page.text
        return said(page)

    def act(self, number: str, action: str, why: str = "the shopper called", **fields: Any) -> TestResponse:
        """Send an action's form as the order's page shows it."""
        form = {"form_token": self.token(), "action_id": str(uuid.uuid4()), "why": why} | fields
        return self.client.post(f"/ops/orders/{number}/{action}", data=form)

    def token(self) -> str:
        """The token of this session's forms."""
        return token_of(self.get("/ops/orders"))


def said(page: TestResponse) -> str:
    """The words of a page."""
    return said_of(page.text)


def said_of(html: str) -> str:
    """The words of a piece of HTML."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def log_in(app: Flask, key: str, name: str = NAME, **more: str) -> tuple[Console, TestResponse]:
    """A new browser that tries to log in; what it was answered."""
    client = app.test_client()
    form = {"form_token": token_of(client.get("/ops/login")), "key": key, "name": name} | more
    return Console(client), client.post("/ops/login", data=form)


def logged_in(app: Flask, key: str) -> Console:
    """An operator who got in."""
    console, answer = log_in(app, key)
    assert answer.status_code == 303, answer.text
    return console
