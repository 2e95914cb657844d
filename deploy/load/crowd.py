"""Shoppers who come at a steady rate whatever the answers take, and what became of them.

Arrivals do not wait for answers (coordinated omission); only a bound on the orders under way holds them back, and by
how much is told, as is by how much the load itself was late: then it measured its own machine.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from typing import Any, Final

from deploy.load.mix import GOOD, Mix, Way
from deploy.load.shopper import LeftUnfinished, Shop, a_card, buy, new_customer
from shared.client import NoAnswer, Payment, Refused

KEPT_CUSTOMERS: Final = 20
"""Customers who come with a stored card."""
OPEN_S: Final = 90.0
"""So many seconds of arrivals may be under way at once: thirty polls and a challenge, and a bound on what we hold."""


@dataclass(slots=True)
class Crowd:
    """The shoppers of one run."""

    shop: Shop
    mix: Mix
    arrived: int = 0
    accepted: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    """Terminal codes."""
    left: Counter[str] = field(default_factory=Counter)
    """Why shoppers left without an end: the code of a refusal, or what happened to them."""
    most_polls: int = 0
    """Of one order whose answers were not held."""
    held_back_s: float = 0.0
    latest_s: float = 0.0
    """By how much the latest shopper came after their time."""
    errors: list[Exception] = field(default_factory=list)
    """What no shopper was made for: a fault of the load or of an answer's form."""
    _open: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def open(self) -> int:
        """Shoppers who are still here."""
        return len(self._open)

    async def keep_cards(self) -> None:
        """Store the cards that some pay with later. Raises Refused, NoAnswer."""
        for _ in range(KEPT_CUSTOMERS if self.mix.stored else 0):
            customer = new_customer()
            method = await self.shop.checkout.add_method(customer, Payment(a_card(GOOD)))
            self.shop.kept.append((customer, method.payment_method_urn))

    async def arrive(self, rate: float, seconds: float) -> None:
        """*rate* shoppers a second for *seconds*; returns when the last has come."""
        began = time.monotonic()
        for number in range(round(rate * seconds)):
            due = began + self.held_back_s + number / rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            self.latest_s = max(self.latest_s, time.monotonic() - due)
            await self._room(rate)
            if time.monotonic() - began >= seconds:
                return
            # With dice of their own: what the others wait for would else decide what this one does, and no seed could
            # bring it again.
            own = random.Random(self.shop.dice.getrandbits(64))  # noqa: S311 - deals out shoppers, guards nothing
            self._come(self._shop(self.mix.deal(own), own))

    async def leave(self, within_s: float) -> None:
        """Let everybody finish; who has not after *within_s* is sent home. Raises what no shopper was made for."""
        late: set[asyncio.Task[None]] = set()
        if self._open:
            _, late = await asyncio.wait(self._open, timeout=within_s)
        for task in late:
            task.cancel()
        self.left["sent home"] += len(late)
        await asyncio.gather(*late, return_exceptions=True)
        if self.errors:
            raise self.errors[0]

    def _come(self, shopping: Coroutine[Any, Any, None]) -> None:
        self.arrived += 1
        task = asyncio.create_task(shopping)
        self._open.add(task)
        task.add_done_callback(self._gone)

    def _gone(self, task: asyncio.Task[None]) -> None:
        self._open.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception) and not self.errors:
            self.errors.append(error)

    async def _room(self, rate: float) -> None:
        waited_from = time.monotonic()
        while len(self._open) >= max(1.0, rate * OPEN_S):
            await asyncio.wait(self._open, return_when=asyncio.FIRST_COMPLETED)
        self.held_back_s += time.monotonic() - waited_from

    async def _shop(self, way: Way, dice: random.Random) -> None:
        try:
            end, polls = await buy(replace(self.shop, dice=dice), way, self._accept)
        except Refused as refused:
            self.left[refused.code] += 1
        except NoAnswer as unknown:
            self.left[f"no answer: {unknown.why}"] += 1
        except LeftUnfinished:
            self.left["order not over"] += 1
        else:
            self.ended[end.code] += 1
            self.most_polls = max(self.most_polls, polls)

    def _accept(self) -> None:
        self.accepted += 1
