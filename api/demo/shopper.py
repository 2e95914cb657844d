"""Who a visitor of the shop page is: a random token in a cookie, and nothing kept here.

The customer's name at the API is made from the token by a digest, as is what proves that a form was written for this
browser: neither leads back to the token. So a visitor finds their stored cards again as long as the cookie lives, and
nobody else finds them. What was ordered last is remembered for its own browser's eyes alone: it may be forged, and then
it fools who forged it.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Self
from urllib.parse import quote, unquote

from flask import Request, Response

TOKEN_BYTES: Final = 32
COOKIE: Final = "c2a_demo"
LAST: Final = "c2a_demo_last"
PATH: Final = "/demo"
LIFE: Final = timedelta(days=30)
"""Long enough that the card is there next time."""
LONGEST_SAID: Final = 200
"""Of a text that a form brings back, in characters: a bundle's name and price."""
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class Bought:
    """What was ordered last, as the page had said it."""

    number: str
    item: str
    said: str


@dataclass(frozen=True, slots=True)
class Shopper:
    """One browser. *is_new*: it was not here before, or did not keep the cookie."""

    token: str = field(repr=False)
    is_new: bool

    @classmethod
    def of(cls, request: Request) -> Self:
        """Who sends *request*."""
        token = request.cookies.get(COOKIE, "")
        if _TOKEN.fullmatch(token):
            return cls(token, is_new=False)
        return cls(secrets.token_urlsafe(TOKEN_BYTES), is_new=True)

    @property
    def customer_urn(self) -> str:
        """Their name at the API."""
        return f"cu.demo.{self._digest('customer')}"

    @property
    def form_token(self) -> str:
        """What every form of theirs brings back."""
        return self._digest("form")

    def _digest(self, use: str) -> str:
        return hashlib.sha256(f"{use}:{self.token}".encode()).hexdigest()[:32]


def remember(response: Response, shopper: Shopper, *, secure: bool) -> None:
    """Let the browser keep who it is; *secure*: over TLS alone.

    Lax, not Strict: a shopper who comes back from their bank comes from another site.
    """
    _set(response, COOKIE, shopper.token, secure=secure)


def remember_last(response: Response, bought: Bought, *, secure: bool) -> None:
    """Let the browser keep what it ordered."""
    texts = [text[:LONGEST_SAID] for text in (bought.number, bought.item, bought.said)]
    _set(response, LAST, quote(json.dumps(texts)), secure=secure)


def last(request: Request) -> Bought | None:
    """What this browser ordered last, if it tells."""
    try:
        match json.loads(unquote(request.cookies.get(LAST, ""))):
            case [str(number), str(item), str(said)]:
                "".join((number, item, said)).encode()  # JSON can write half a character, and no page can show it.
                return Bought(number, item, said)
    except (ValueError, RecursionError):
        return None  # None was kept, or one that nobody but its owner wrote.
    return None


def _set(response: Response, name: str, value: str, *, secure: bool) -> None:
    response.set_cookie(name, value, max_age=LIFE, httponly=True, samesite="Lax", secure=secure, path=PATH)
