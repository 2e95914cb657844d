"""Many shoppers at once: each orders, follows its order as the API advises, and presses what its way to pay asks for.

One event loop drives them all, with a bound on the orders in flight: a test client with a thread a shopper would
measure itself.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from tests.support import wire
from tests.support.mix import Kind
from tests.support.storefront import CHALLENGED, PREFIX, TERMINAL, code_of, new_correlation, new_customer
from tests.support.wire import Document

IN_FLIGHT: Final = 300
"""Orders one crowd has open at a time: most wait for their next poll, and some for a minute until a challenge ends."""
REPEATS_EVERY: Final = 20
"""Every so many orders the same POST is sent twice at once: both get one number."""
CONNECTIONS: Final = 24
"""Half as many again as the API has database connections: enough to keep it busy, too few to be told to wait."""
TELL_EVERY_S: Final = 5.0
CARTS: Final = (
    (wire.an_item(),),
    (wire.an_item(quantity=3),),
    (wire.an_item(), wire.an_item("it.00.42.seat", parent="it.00.42", quantity=4)),
    (wire.an_item("it.00.43"), wire.an_item("it.00.42", quantity=2)),
)


@dataclass(frozen=True, slots=True)
class Ended:
    """One order, to its end."""

    kind: Kind
    tracking_number: str
    correlation: str
    owed: int
    last: Document
    seconds: float
    polls: int


@dataclass(slots=True)
class Crowd:
    """The shoppers of one storefront."""

    base_url: str
    headers: dict[str, str]
    say: Callable[[str], None]
    kept: dict[str, tuple[str, str]]
    """A stored method (customer, URN) for each card that some shopper stored before."""
    ended: list[Ended] = field(default_factory=list)
    waits_for: Counter[str] = field(default_factory=Counter)
    put_off: int = 0
    """Calls that were answered 503 and made again after their Retry-After, as any client does."""
    _http: aiohttp.ClientSession = field(init=False)
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    async def shop(self, kinds: Sequence[Kind], *, within_s: float) -> list[Ended]:
        """One order for each of *kinds*; fails if not all ended *within_s*."""
        limit = asyncio.Semaphore(IN_FLIGHT)
        connector = aiohttp.TCPConnector(limit=CONNECTIONS)
        async with aiohttp.ClientSession(headers=self.headers, connector=connector) as self._http:
            async with asyncio.timeout(within_s):
                telling = asyncio.create_task(self._tell(len(kinds)))
                try:
                    async with asyncio.TaskGroup() as group:
                        for kind in kinds:
                            await limit.acquire()
                            task = group.create_task(self._buy(kind))
                            task.add_done_callback(lambda _: limit.release())
                finally:
                    telling.cancel()
        return self.ended

    async def _tell(self, count: int) -> None:
        started = time.monotonic()
        while True:
            await asyncio.sleep(TELL_EVERY_S)
            elapsed = time.monotonic() - started
            waiting = ", ".join(f"{name} {number}" for name, number in self.waits_for.most_common(4) if number)
            self.say(f"{elapsed:5.0f} s  {len(self.ended):5} of {count} ended; open: {waiting}")

    async def _buy(self, kind: Kind) -> None:
        self.waits_for[kind.name] += 1
        number, started = next(self._numbers), time.monotonic()
        customer, payment = self._payment(kind)
        offer = (await self._post("/c2a/offer/bundles", {"context": _context(customer)}, 200))["offer"]
        cart, correlation = CARTS[number % len(CARTS)], new_correlation()
        order = wire.an_order(offer["offerIdentifier"], customer, *cart, correlationId=correlation)
        accepted = await self._submit(wire.a_request(order, payment), twice=number % REPEATS_EVERY == 0)
        last, polls = await self._follow(accepted, kind)
        seconds = time.monotonic() - started
        owed = owed_for(offer, cart)
        self.ended.append(Ended(kind, accepted["trackingNumber"], correlation, owed, last, seconds, polls))
        self.waits_for[kind.name] -= 1

    def _payment(self, kind: Kind) -> tuple[str, Document]:
        if kind.stored is not None:
            customer, method_urn = self.kept[kind.stored]
            return customer, wire.stored_card(method_urn)
        payment = wire.fresh_card(kind.card) if kind.card is not None else wire.channel(kind.channel)
        return new_customer(), payment | ({"storeMethodSuccessPayment": "always"} if kind.keeps else {})

    async def _submit(self, document: Document, *, twice: bool) -> Document:
        calls = [self._post("/c2a/offer/checkout", document, 202) for _ in range(2 if twice else 1)]
        answers = await asyncio.gather(*calls)
        assert len({answer["trackingNumber"] for answer in answers}) == 1, "one key, one order"
        return answers[0]

    async def _follow(self, accepted: Document, kind: Kind) -> tuple[Document, int]:
        now, pressed = accepted, False
        for polls in itertools.count():
            code = code_of(now)
            if code in TERMINAL:
                return now, polls
            if code == CHALLENGED and kind.decision is not None and not pressed:
                await self._press(now["redirectInstructions"]["redirectUrl"], kind.decision, visits=polls % 2 == 0)
                pressed = True
            await asyncio.sleep(now["followUpInstructions"]["retryAfterSeconds"])
            now = json.loads(await self._read("GET", now["followUpInstructions"]["followUpUrl"], 200))
        raise AssertionError("unreachable: the loop has no other end")

    async def _press(self, page: str, decision: str, *, visits: bool) -> None:
        """Press a button; only some shoppers then find back to the shop, the webhook must do for the others."""
        async with self._http.post(page, data={"decision": decision}, headers={}, allow_redirects=False) as answer:
            assert answer.status == 303, await answer.text()
            back = answer.headers["location"]
        if visits:
            await self._read("GET", back, 200)

    async def _post(self, path: str, document: Document, status: int) -> Document:
        return dict(json.loads(await self._read("POST", f"{self.base_url}{PREFIX}{path}", status, json=document)))

    async def _read(self, method: str, url: str, status: int, **more: Any) -> str:
        while True:
            async with self._http.request(method, url, **more) as answer:
                if answer.status == status:
                    return await answer.text()
                assert answer.status == 503, await answer.text()
            self.put_off += 1
            await asyncio.sleep(int(answer.headers["Retry-After"]))


def _context(customer: str) -> Document:
    return {"customerUrn": customer, "interactionType": "NewAcquisition", "storefrontUrn": "st.00.001"}


def owed_for(offer: Document, cart: Sequence[Document]) -> int:
    """What *cart* costs by the prices *offer* shows, in minor units; reckoned here, not by the product."""
    prices: dict[tuple[str | None, str], Any] = {
        (item["parentItemIdentifier"], item["itemIdentifier"]): item["price"]["amountMilpieces"]
        for group in offer["artifactGroups"]
        for item in group["items"]
    }
    return sum(
        prices[line.get("parentItemIdentifier"), line["itemIdentifier"]] * int(line["quantity"]) for line in cart
    )
