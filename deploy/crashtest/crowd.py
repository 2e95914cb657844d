"""The shoppers of a crash test: they come at a steady rate whatever happens, order, follow their order and press.

Arrivals do not wait for answers, so trouble does not make the load lighter; only a bound on the orders in flight does,
and what it held back is told. Most orders carry a correlationId and are sent again under it until they are answered;
some carry none and are sent once; some are sent twice at once.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import secrets
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

from deploy.crashtest import canaries
from deploy.crashtest.client import Answer, Client, GaveUp
from deploy.crashtest.history import FOREIGN_POLL, POLL, SUBMIT
from deploy.crashtest.kinds import Kind, endless

PREFIX: Final = "/api/v1/c2a"
TERMINAL: Final = frozenset({"CHECK_OUT_DONE", "CHECK_OUT_FAILED"})
CHALLENGED: Final = "CHECK_OUT_3DS_REQUIRED"
OPEN_S: Final = 60
"""So many seconds of arrivals may be open at once: more than any one fault lasts, and a bound on what we hold."""
SLOWEST_POLL_S: Final = 10.0
"""A shopper asks as often as Retry-After allows, then more slowly: hundreds who wait would be all the load there is."""
RESOLVED: Final = 0.1
"""Share of the shoppers who have their offer resolved; the others take one from the shelf."""
TWICE: Final = 0.05
KEYLESS: Final = 0.02
FOREIGN_EVERY: Final = 20
"""Accepted orders of which a stranger names one as well: one a second, which costs the others nothing."""
KEPT_CUSTOMERS: Final = 20
"""Customers who come with a stored card."""
CARTS: Final = (
    ((None, "it.00.42", 1),),
    ((None, "it.00.42", 3),),
    ((None, "it.00.42", 1), ("it.00.42", "it.00.42.seat", 4)),
    ((None, "it.00.43", 1),),
)
"""Lines as (parent, item, quantity) of the demo catalogue."""
Cart = Sequence[tuple[str | None, str, int]]


@dataclass(slots=True)
class Crowd:
    """Shoppers of one storefront, and what they have met so far."""

    base_url: str
    client: Client
    stranger: Client
    """Somebody of another tenant."""
    dice: random.Random
    shelf: deque[dict[str, Any]] = field(default_factory=deque)
    """Offers that wait to be taken."""
    cards: dict[str, str] = field(default_factory=dict)
    """By test card a number that does the same and that nobody else has: it may stand nowhere afterwards."""
    run: str = field(default_factory=lambda: secrets.token_hex(4))
    unserved: int = 0
    """Shoppers who wait for an offer or for their order to be accepted."""
    accepted: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    """Terminal codes the shoppers heard."""
    held_back_s: float = 0.0
    gave_up: int = 0
    errors: list[Exception] = field(default_factory=list)
    """What no shopper was made for: a fault of the test or of an answer's form."""
    _kept: list[tuple[str, str]] = field(default_factory=list)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _open: set[asyncio.Task[None]] = field(default_factory=set)

    async def keep_cards(self) -> None:
        """Store the cards that some shoppers pay with later."""
        for _ in range(KEPT_CUSTOMERS):
            customer = self._customer()
            body = {"customerUrn": customer, "paymentMethod": self._typed("4111111111111111")}
            answer = await self._post("keep", "/customer/payment/methods/add", body)
            self._kept.append((customer, answer.document["result"]["paymentMethodUrn"]))

    async def arrive(self, rate: float, seconds: float) -> None:
        """*rate* shoppers a second for *seconds*; returns when the last has come, not when it has gone.

        Who was held back comes later, but nobody comes after *seconds*.
        """
        kinds, started = endless(self.dice), time.monotonic()
        for number in range(round(rate * seconds)):
            await asyncio.sleep(max(0.0, started + number / rate - time.monotonic()))
            await self._room(rate)
            if time.monotonic() - started >= seconds:
                return
            task = asyncio.create_task(self._shop(next(kinds)))
            self._open.add(task)
            task.add_done_callback(self._gone)

    async def leave(self, within_s: float) -> int:
        """Let everybody hear of their order's end; how many had to be sent home after *within_s*."""
        if not self._open:
            return 0
        _, late = await asyncio.wait(self._open, timeout=within_s)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        return len(late)

    @property
    def open(self) -> int:
        """Shoppers who are not done yet."""
        return len(self._open)

    def _gone(self, task: asyncio.Task[None]) -> None:
        self._open.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self.errors.append(error)

    async def _room(self, rate: float) -> None:
        waited_from = time.monotonic()
        while len(self._open) >= rate * OPEN_S:
            await asyncio.wait(self._open, return_when=asyncio.FIRST_COMPLETED)
        self.held_back_s += time.monotonic() - waited_from

    async def _shop(self, kind: Kind) -> None:
        try:
            await self._buy(kind)
        except GaveUp:
            self.gave_up += 1

    async def _buy(self, kind: Kind) -> None:
        self.unserved += 1
        try:
            answer = await self._order_placed(kind)
        finally:
            self.unserved -= 1
        if answer is None or answer.status != HTTPStatus.ACCEPTED:
            return  # Sent once without a key and never answered, or refused: the checker will judge it.
        self.accepted += 1
        await self._follow(answer.document["trackingNumber"], kind)

    async def _order_placed(self, kind: Kind) -> Answer | None:
        customer, payment = self._payment(kind)
        offer = await self._offer(customer)
        number, cart = next(self._numbers), self.dice.choice(CARTS)
        key = None if self.dice.random() < KEYLESS else f"ct-{self.run}-{number}"
        order = _order(offer, customer, cart, key)
        facts = {"offer": offer["offerIdentifier"], "customer": customer, "owed": _owed(offer, cart)}
        facts |= {} if key is None else {"key": key}
        return await self._submit({"order": order, "paymentMethod": payment}, facts)

    async def _offer(self, customer: str) -> dict[str, Any]:
        if self.shelf and self.dice.random() >= RESOLVED:
            return self.shelf.popleft()
        context = {"customerUrn": customer, "interactionType": "NewAcquisition", "storefrontUrn": "st.00.001"}
        offer: dict[str, Any] = (await self._post("offer", "/offer/bundles", {"context": context})).document["offer"]
        return offer

    async def _submit(self, body: dict[str, Any], facts: dict[str, Any]) -> Answer | None:
        url = f"{self.base_url}{PREFIX}/offer/checkout"
        if "key" not in facts:
            return await self.client.once(SUBMIT, "POST", url, body=body, **facts)
        times = 2 if self.dice.random() < TWICE else 1
        posts = [self.client.until_answered(SUBMIT, "POST", url, body=body, **facts) for _ in range(times)]
        return (await asyncio.gather(*posts))[0]

    async def _follow(self, tracking_number: str, kind: Kind) -> None:
        url, pressed = f"{self.base_url}{PREFIX}/offer/checkout/{tracking_number}/status", False
        if self.accepted % FOREIGN_EVERY == 1:
            await self.stranger.until_answered(FOREIGN_POLL, "GET", url, trackingNumber=tracking_number)
        for polls in itertools.count(1):
            now = await self.client.until_answered(POLL, "GET", url, trackingNumber=tracking_number)
            if now.status != HTTPStatus.OK:
                return  # The checker will judge it.
            code = now.document["status"]["messageCode"]
            if code in TERMINAL:
                self.ended[code] += 1
                return
            if code == CHALLENGED and kind.decision is not None and not pressed:
                await self._press(now.document["redirectInstructions"]["redirectUrl"], kind.decision)
                pressed = True
            soonest = float(now.headers["Retry-After"])
            await asyncio.sleep(max(soonest, min(soonest * polls / 2, SLOWEST_POLL_S)))

    async def _press(self, page: str, decision: str) -> None:
        """Press a button; half of the shoppers then find back to the shop, the webhook must do for the others."""
        answer = await self.client.until_answered("press", "POST", page, body={"decision": decision})
        back = answer.headers.get("Location")
        if back is not None and self.dice.random() < 0.5:
            await self.client.until_answered("return", "GET", back)

    async def _post(self, what: str, path: str, body: dict[str, Any]) -> Answer:
        answer = await self.client.until_answered(what, "POST", f"{self.base_url}{PREFIX}{path}", body=body)
        if answer.status != HTTPStatus.OK:
            raise GaveUp(f"{what}: {answer.status}")
        return answer

    def _payment(self, kind: Kind) -> tuple[str, dict[str, Any]]:
        if kind.stored:
            customer, method = self.dice.choice(self._kept)
            card = {"useStoredMethod": True, "storedMethodUrn": method}
            return customer, {"paymentChannel": "CreditCard", "useStoredMethod": True, "creditCard": card}
        payment = self._typed(kind.card) if kind.card else {"paymentChannel": kind.channel}
        return self._customer(), payment | ({"storeMethodSuccessPayment": "always"} if kind.keeps else {})

    def _typed(self, test_card: str) -> dict[str, Any]:
        number = self.cards.setdefault(test_card, canaries.like(test_card))
        expiry = {"expireYear": canaries.YEAR, "expireMonth": canaries.MONTH}
        card = {"cardHolderName": "Jane Doe", "cardNumber": number, **expiry, "cvc": canaries.CVC}
        return {"paymentChannel": "CreditCard", "creditCard": card}

    def _customer(self) -> str:
        return f"cu.ct.{secrets.randbelow(10**12):012}"


def _order(offer: dict[str, Any], customer: str, cart: Cart, key: str | None) -> dict[str, Any]:
    items = [
        {"itemIdentifier": item, "quantity": quantity} | ({} if parent is None else {"parentItemIdentifier": parent})
        for parent, item, quantity in cart
    ]
    order = {"offerIdentifier": offer["offerIdentifier"], "items": items, "customer": {"customerUrn": customer}}
    return order if key is None else order | {"correlationId": key}


def _owed(offer: dict[str, Any], cart: Cart) -> tuple[int, str]:
    """What *cart* costs by the prices *offer* shows, in minor units; reckoned here, not by the product."""
    prices = {
        (item["parentItemIdentifier"], item["itemIdentifier"]): item["price"]["amountMilpieces"]
        for group in offer["artifactGroups"]
        for item in group["items"]
    }
    return sum(prices[parent, item] * quantity for parent, item, quantity in cart), offer["currency"]
