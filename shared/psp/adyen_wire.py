"""Adyen's own library over our connections: paths, headers and their names are its own, the sockets are ours.

The library opens its own with one read timeout and no cap, and keeps to no total deadline; so it is given a client of
ours in their place. It is given no address, either: it would rewrite one that it takes for a live system's. What it
would parse is first seen to be an object of bounded depth, and what it raises never carries a request: that may hold a
card.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any, Final

from Adyen.client import AdyenClient
from Adyen.exceptions import AdyenAPIResponseError
from Adyen.services.checkout import AdyenCheckoutApi
from Adyen.settings import LIB_NAME, LIB_VERSION
from pydantic_core import from_json

from shared.domain.outcomes import NotSent, Unanswered
from shared.psp.http import Answer, Http
from shared.psp.port import Account

VERSION: Final = "v72"
"""Of Adyen's Checkout API: the one our documents (adyen_answers.py) were written against."""
KEY_LENGTH: Final = 64
"""The longest idempotency key Adyen takes (docs.adyen.com, API idempotency)."""

Reply = Answer | NotSent | Unanswered


class AdyenWire:
    """The calls of one account. Cheap: built per use, on the process's connections."""

    def __init__(self, account: Account, http: Http) -> None:
        client = AdyenClient(xapikey=account.credentials["apiKey"], platform="test")  # "live" would ask for a prefix.
        client.http_client = _Client(f"{account.base_url.rstrip('/')}/{VERSION}", http)
        client.http_init = True
        checkout = AdyenCheckoutApi(client)
        self.payments, self.modifications = checkout.payments_api, checkout.modifications_api
        self.links, self.recurring = checkout.payment_links_api, checkout.recurring_api
        for service in (self.payments, self.modifications, self.links, self.recurring):
            service.baseUrl = ""  # Its own attribute, of this very object.

    def call(self, verb: Callable[..., Any], *args: Any, **more: Any) -> Reply:
        """What Adyen answers to one of the library's verbs; *more* as the library names it. Never raises for it."""
        try:
            result = verb(*args, **more)
        except _NoAnswer as none:
            return none.outcome
        except AdyenAPIResponseError as refused:
            return Answer(refused.status_code, refused.raw_response.encode())
        return Answer(result.status_code, result.raw_response.encode())


def key_of(psp_key: str) -> str:
    """*psp_key* as Adyen takes it: a longer one goes by its digest, which is the same whenever it is made again."""
    return psp_key if len(psp_key) <= KEY_LENGTH else sha256(psp_key.encode()).hexdigest()


class _NoAnswer(Exception):
    """How a call without an answer gets past the library."""

    def __init__(self, outcome: NotSent | Unanswered) -> None:
        super().__init__(outcome.why)
        self.outcome = outcome


class _Client:
    """What the library takes for its own HTTP client."""

    user_agent: Final = f"{LIB_NAME}/{LIB_VERSION}"

    def __init__(self, base_url: str, http: Http) -> None:
        self._base_url, self._http = base_url, http

    def request(
        self, method: str, url: str, *, json: Any, xapikey: str, headers: Mapping[str, str]
    ) -> tuple[str, None, int, Mapping[str, str]]:
        """What the library wants of an answer: its text, the request (no), its status, its headers (none). Raises
        _NoAnswer."""
        sent = {**headers, "x-api-key": xapikey}
        body = None
        if json is not None:
            sent["Content-Type"] = "application/json"
            body = _written(json)
        answer = self._http.call(method, self._base_url + url, headers=sent, body=body)
        if not isinstance(answer, Answer):
            raise _NoAnswer(answer)
        return answer.body.decode() if _is_readable(answer.body) else "", None, answer.status, {}


def _written(document: Any) -> bytes:
    return json.dumps(document).encode()


def _is_readable(body: bytes) -> bool:
    """Whether *body* is a JSON object that no reader chokes on; an error page or a flood of brackets is not."""
    try:
        return isinstance(from_json(body), dict)
    except ValueError:
        return False
