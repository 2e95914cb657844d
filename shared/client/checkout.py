"""The client for programs that wait for their calls; AsyncCheckout is the same for those that do not."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Self, TypeVar

import httpx

from shared.client import carrying, talks
from shared.client.answers import CheckoutResult, Method, Offer
from shared.client.asks import Order, Payment
from shared.client.retries import Terms
from shared.client.turns import Call, Heard, Lost, Pause, Talk
from shared.client.waiting import WITHIN_S, waited

T = TypeVar("T")


class Checkout:
    """One key's way to the API. Every method raises Refused (what the API says no to) and NoAnswer."""

    def __init__(
        self, base_url: str, *, tenant: str, key: str, terms: Terms | None = None, http: httpx.Client | None = None
    ) -> None:
        """*base_url*: scheme and host. *http*: a client of your own (proxies, certificates), closed by you."""
        self._base_url = base_url.rstrip("/")
        self._headers = {"x-api-key": key, "x-tn": tenant}
        self._terms = terms or Terms()
        self._is_own = http is None
        self._http = httpx.Client() if http is None else http

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._base_url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        if self._is_own:
            self._http.close()

    def resolve(self, customer_urn: str, **context: Any) -> Offer:
        """An offer this customer may order; *context* by wire names (contract section 4), as interactionType."""
        return self._run(talks.resolved(customer_urn, context, self._terms, kind="bundles"))

    def showcase(self, customer_urn: str | None = None, **context: Any) -> Offer:
        """What there is to buy; it cannot be ordered."""
        return self._run(talks.resolved(customer_urn, context, self._terms, kind="showcase"))

    def submit(self, order: Order, payment: Payment) -> CheckoutResult:
        """Submit *order*, again and again under its correlationId until it is answered."""
        return self._run(talks.submitted(order, payment, self._terms))

    def submit_document(self, document: Mapping[str, Any], *, key: str | None = None) -> CheckoutResult:
        """Submit a body that was built elsewhere, under its correlationId, else *key*, else a new key."""
        talk = talks.document_submitted(document, key, self._terms)
        del document  # A traceback that tells local variables finds none of it here.
        return self._run(talk)

    def status(self, tracking_number: str) -> CheckoutResult:
        """Where the order stands now."""
        return self._run(talks.status(tracking_number, self._terms))

    def wait(self, order: CheckoutResult | str, *, within_s: float = WITHIN_S) -> CheckoutResult:
        """The order's end, or a redirect the shopper must follow: wait again then, with what this returned.

        Raises StillRunning when *within_s* is over.
        """
        return self._run(waited(order, self._terms, within_s=within_s))

    def methods(self, customer_urn: str) -> list[Method]:
        """The stored payment methods of a customer."""
        return self._run(talks.listed(customer_urn, self._terms))

    def add_method(self, customer_urn: str, payment: Payment) -> Method:
        """Store the card of *payment* now, without an order."""
        return self._run(talks.added(customer_urn, payment, self._terms))

    def delete_method(self, method_urn: str) -> None:
        """Forget a stored method, here and at its PSP."""
        self._run(talks.deleted(method_urn, self._terms))

    def _run(self, talk: Talk[T]) -> T:
        answer: Heard | Lost | None = None
        while True:
            try:
                turn = talk.send(answer)
            except StopIteration as end:
                value: T = end.value
                return value
            answer = self._carried(turn)

    def _carried(self, turn: Call | Pause) -> Heard | Lost | None:
        if isinstance(turn, Pause):
            time.sleep(turn.seconds)
            return None
        try:
            return carrying.heard_of(self._http.request(**carrying.request_of(turn, self._base_url, self._headers)))
        except httpx.RequestError as error:
            return carrying.lost_of(error)
