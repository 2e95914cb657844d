"""Orders that are submitted one by one: so many of them, or so many a second whatever the answers take.

An open arrival rate is what tells a latency: a client that waits for its answer before it asks again is slow with the
server and never sees a queue (coordinated omission).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from secrets import token_hex
from typing import Any, Final

import aiohttp

from deploy.measure.goods import order_of
from deploy.measure.traffic import Invalid
from deploy.stack import signals

AT_ONCE: Final = 8
"""Submissions in flight where only their number counts."""
ANSWER_WITHIN_S: Final = 30.0
TRIES: Final = 10
"""How often a client that is put off comes again; each time after what it was told, as any client does."""


@dataclass(slots=True)
class Crowd:
    """Shoppers at one address."""

    url: str
    headers: dict[str, str] = field(repr=False)
    offer: str
    provider: str | None = None
    accepted: list[str] = field(default_factory=list)
    """Tracking numbers, in the order of their answers."""
    took_ms: list[float] = field(default_factory=list)
    """How long each order took to be accepted."""
    put_off: int = 0
    """Answers that said 503: the front door had more than it could take."""
    _run: str = field(default_factory=lambda: token_hex(6))

    def submit(self, count: int, *, at_once: int = AT_ONCE) -> list[str]:
        """Submit *count* orders; their tracking numbers. Raises Invalid, or StopAsked."""
        before = len(self.accepted)
        asyncio.run(self._with_session(lambda http: self._closed(http, count, at_once)))
        return self.accepted[before:]

    def arrive(self, rate: float, seconds: float) -> None:
        """Submit *rate* orders a second for *seconds*, each at its time. Raises Invalid, or StopAsked."""
        asyncio.run(self._with_session(lambda http: self._open(http, rate, seconds)))

    async def _with_session(self, work: Callable[[aiohttp.ClientSession], Awaitable[None]]) -> None:
        timeout = aiohttp.ClientTimeout(total=ANSWER_WITHIN_S)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(headers=self.headers, timeout=timeout, connector=connector) as http:
            await work(http)

    async def _closed(self, http: aiohttp.ClientSession, count: int, at_once: int) -> None:
        left = iter(range(count))

        async def one_after_the_other() -> None:
            for number in left:
                signals.check()
                await self._one(http, f"{self._run}-c-{number}")

        self._run = token_hex(6)
        # Not a task group: what goes wrong is raised as it is, StopAsked as well.
        await asyncio.gather(*(one_after_the_other() for _ in range(at_once)))

    async def _open(self, http: aiohttp.ClientSession, rate: float, seconds: float) -> None:
        began = time.monotonic()
        self._run = token_hex(6)
        sent = []
        for number in range(round(rate * seconds)):
            signals.check()
            await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
            sent.append(asyncio.create_task(self._one(http, f"{self._run}-o-{number}")))
        await asyncio.gather(*sent)

    async def _one(self, http: aiohttp.ClientSession, name: str) -> None:
        body = order_of(self.offer, correlation=name, customer=f"cu.{name}", provider=self.provider)
        began = time.monotonic()
        for _ in range(TRIES):
            async with http.post(self.url, json=body) as answer:
                document: dict[str, Any] = await answer.json(content_type=None)
                if answer.status == HTTPStatus.ACCEPTED:
                    self.took_ms.append(1_000 * (time.monotonic() - began))
                    self.accepted.append(document["trackingNumber"])
                    return
                if answer.status != HTTPStatus.SERVICE_UNAVAILABLE:
                    raise Invalid(f"an order was answered with {answer.status}")
            self.put_off += 1
            await asyncio.sleep(float(answer.headers["Retry-After"]))
        raise Invalid(f"an order was put off {TRIES} times")
