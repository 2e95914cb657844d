"""What every route of the sandbox works with, and how it finds it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from aiohttp import web

from deploy.sandbox.books import Books
from deploy.sandbox.cards import Trouble
from deploy.sandbox.faults import FaultBoard, Operation
from deploy.sandbox.till import Till
from deploy.sandbox.traffic import Traffic
from deploy.sandbox.troubles import answer
from deploy.sandbox.webhooks import Outbox


@dataclass(frozen=True, slots=True)
class Desk:
    """The parts of one running sandbox."""

    books: Books
    faults: FaultBoard
    till: Till
    outbox: Outbox
    traffic: Traffic
    stopping: asyncio.Event
    public_url: str | None

    async def process(self, trouble: Trouble | None) -> None:
        """Take the time a call takes before anything is written."""
        settings = self.faults.now
        wait_s = settings.latency_ms / 1000 + (settings.slow_seconds if trouble == Trouble.SLOW else 0)
        if wait_s:
            await asyncio.sleep(wait_s)

    async def reply(self, request: web.Request, body: bytes, trouble: Trouble | None) -> web.StreamResponse:
        """Answer once everything told is on disk, as slowly and as badly as the faults say."""
        await self.books.ledger.durable()
        settings = self.faults.now
        if settings.answer_delay_ms:
            await asyncio.sleep(settings.answer_delay_ms / 1000)
        return await answer(request, body, trouble, hang_s=settings.hang_seconds, stopping=self.stopping)

    def trouble_for(self, operation: Operation) -> Trouble | None:
        """The trouble POST /faults has in store for this call."""
        return self.faults.trouble_for(operation)

    def base_url(self, request: web.Request) -> str:
        """Where shoppers reach this sandbox: as set, else as the caller reached it."""
        return self.public_url or f"{request.scheme}://{request.host}"


DESK = web.AppKey("desk", Desk)


def desk_of(request: web.Request) -> Desk:
    """The desk this request came to."""
    return request.app[DESK]
