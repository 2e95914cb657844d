"""Sends what the official library asks of Stripe through our own client, and shows the library nothing it could leak.

The library knows Stripe's calls: paths, parameters, API version, headers, keys. Its sockets, retries and judgement
are not used. Three things it must not do, and cannot here:

It writes every parameter it sends to its log. So a card is added to the body below it: the library never has one.
It sends what it measured and where it runs. Only the headers a call needs go on, and the file it would keep an id
of this machine in is never written.
It believes any answer: a proxy's 429 is Stripe's to it, and a deep enough document ends in an error of Python. It is
told that all is well; our own documents (stripe_answers.py) judge what came.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final
from urllib.parse import urlencode

import stripe

from shared.domain.cards import Card
from shared.domain.outcomes import NotSent, Unanswered
from shared.psp.http import Answer, Http
from shared.psp.port import Account

Reply = Answer | NotSent | Unanswered

_NEEDED: Final = ("Authorization", "Content-Type", "Idempotency-Key", "Stripe-Version")
_WELL: Final = "{}"


class StripeWire:
    """One account's way to Stripe."""

    def __init__(self, account: Account, http: Http) -> None:
        # The library's only switch for it. Before a first call, else that would look for the machine's id.
        stripe.enable_telemetry = False
        self._account, self._http = account, http

    def ask(self, call: Callable[[stripe.StripeClient], object], *, card: Card | None = None) -> Reply:
        """What Stripe answers to the one request that *call* makes; *card* becomes its `card` parameter."""
        carrier = _Carrier(self._http, _card_fields(card) if card else "")
        client = stripe.StripeClient(
            self._account.credentials["apiKey"],
            base_addresses={"api": self._account.base_url.rstrip("/")},
            http_client=carrier,
            max_network_retries=0,
        )
        call(client)
        assert carrier.reply is not None, "a call makes a request"
        return carrier.reply


class _Carrier(stripe.HTTPClient):
    """Carries one request of the library and keeps the answer from it."""

    name: ClassVar[str] = "c2a"

    def __init__(self, http: Http, unseen: str) -> None:
        super().__init__()
        self._http, self._unseen = http, unseen
        self.reply: Reply | None = None

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: Any = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[str, int, Mapping[str, str]]:
        """Send it, once."""
        needed = {name: value for name, value in (headers or {}).items() if name in _NEEDED}
        body = None
        if post_data is not None:
            body = "&".join(part for part in (post_data, self._unseen) if part).encode()
        self.reply = self._http.call(method.upper(), url, headers=needed | _OURS, body=body)
        return _WELL, 200, {}


_OURS: Final = {"User-Agent": f"c2a-checkout stripe-python/{stripe.VERSION}"}


def _card_fields(card: Card) -> str:
    fields = {"number": card.number, "exp_month": card.expire_month, "exp_year": card.expire_year, "cvc": card.cvc}
    return urlencode({f"card[{name}]": value for name, value in fields.items()})
