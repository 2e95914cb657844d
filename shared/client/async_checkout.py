"""The client for programs on asyncio: the same conversations as Checkout's, carried without waiting."""

from __future__ import annotations

import asyncio
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


class AsyncCheckout:
    """One key's way to the API. Every method says, returns and raises what Checkout's of the same name does."""

    def __init__(
        self, base_url: str, *, tenant: str, key: str, terms: Terms | None = None, http: httpx.AsyncClient | None = None
    ) -> None:
        """*base_url*: scheme and host. *http*: a client of your own (proxies, certificates), closed by you."""
        self._base_url = base_url.rstrip("/")
        self._headers = {"x-api-key": key, "x-tn": tenant}
        self._terms = terms or Terms()
        self._is_own = http is None
        self._http = httpx.AsyncClient() if http is None else http

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._base_url!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of the connections."""
        if self._is_own:
            await self._http.aclose()

    async def resolve(self, customer_urn: str, **context: Any) -> Offer:
        """An offer this customer may order; *context* by wire names (contract section 4), as interactionType."""
        return await self._run(talks.resolved(customer_urn, context, self._terms, kind="bundles"))

    async def showcase(self, customer_urn: str | None = None, **context: Any) -> Offer:
        """What there is to buy; it cannot be ordered."""
        return await self._run(talks.resolved(customer_urn, context, self._terms, kind="showcase"))

    async def submit(self, order: Order, payment: Payment) -> CheckoutResult:
        """Submit *order*, again and again under its correlationId until it is answered."""
        return await self._run(talks.submitted(order, payment, self._terms))

    async def submit_document(self, document: Mapping[str, Any], *, key: str | None = None) -> CheckoutResult:
        """Submit a body that was built elsewhere, under its correlationId, else *key*, else a new key."""
        talk = talks.document_submitted(document, key, self._terms)
        del document  # A traceback that tells local variables finds none of it here.
        return await self._run(talk)

    async def status(self, tracking_number: str) -> CheckoutResult:
        """Where the order stands now."""
        return await self._run(talks.status(tracking_number, self._terms))

    async def wait(self, order: CheckoutResult | str, *, within_s: float = WITHIN_S) -> CheckoutResult:
        """The order's end, or a redirect the shopper must follow: wait again then, with what this returned.

        Raises StillRunning when *within_s* is over.
        """
        return await self._run(waited(order, self._terms, within_s=within_s))

    async def methods(self, customer_urn: str) -> list[Method]:
        """The stored payment methods of a customer."""
        return await self._run(talks.listed(customer_urn, self._terms))

    async def add_method(self, customer_urn: str, payment: Payment) -> Method:
        """Store the card of *payment* now, without an order."""
        return await self._run(talks.added(customer_urn, payment, self._terms))

    async def delete_method(self, method_urn: str) -> None:
        """Forget a stored method, here and at its PSP."""
        await self._run(talks.deleted(method_urn, self._terms))

    async def _run(self, talk: Talk[T]) -> T:
        answer: Heard | Lost | None = None
        while True:
            try:
                turn = talk.send(answer)
            except StopIteration as end:
                value: T = end.value
                return value
            answer = await self._carried(turn)

    async def _carried(self, turn: Call | Pause) -> Heard | Lost | None:
        if isinstance(turn, Pause):
            await asyncio.sleep(turn.seconds)
            return None
        request = carrying.request_of(turn, self._base_url, self._headers)
        try:
            return carrying.heard_of(await self._http.request(**request))
        except httpx.RequestError as error:
            return carrying.lost_of(error)
