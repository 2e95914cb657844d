"""Tells each account's webhook address what happened, signed by Standard Webhooks, with the faults that are set.

At least once: an event counts as delivered on a 2xx; until then it is retried after RETRIES_S, and a restarted
sandbox sends again what it knows to be undelivered. Nothing is sent before its ledger line is on disk.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import aiohttp
from standardwebhooks import Webhook

from deploy.sandbox.books import Books, Event
from deploy.sandbox.faults import FaultBoard
from deploy.sandbox.records import stamp

RETRIES_S: Final = (0.2, 1, 5, 15, 60, 300, 900)
"""Waits between tries: quick for a restart, over after 20 min; POST /webhooks/{id}/send tries again at any time."""
SENDERS: Final = 32
"""Deliveries at once: enough for hundreds a second at a receiver that answers in 50 ms."""
TIMEOUT_S: Final = 5
"""A receiver that has not acknowledged by then is asked again later."""
REMEMBERED: Final = 10_000
"""Delivered events that GET /webhooks can still show and send again. What was not delivered is kept: a PSP tells it
again for days."""
OVERTAKEN_S: Final = 2.0
"""How long a reordered event waits, so that the ones after it come first."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Delivery:
    """How far one event has come."""

    event: Event
    state: str = "waiting"  # waiting | delivered | lost | failed | no_address
    tries: int = 0
    last_status: int | None = None

    def shown(self) -> dict[str, Any]:
        """The row of GET /webhooks."""
        charge = self.event.charge
        return {
            "id": self.event.event_id,
            "type": self.event.kind,
            "accountId": charge.account_id,
            "pspReference": charge.reference,
            "merchantReference": charge.merchant_reference,
            "state": self.state,
            "tries": self.tries,
            "lastStatus": self.last_status,
            "createdAt": stamp(self.event.created_at),
        }


class Outbox:
    """The events on their way."""

    def __init__(self, books: Books, faults: FaultBoard) -> None:
        self._books = books
        self._faults = faults
        self._deliveries: dict[str, Delivery] = {}
        self._delivered: deque[str] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._seats = asyncio.Semaphore(SENDERS)
        self._http = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S), connector=aiohttp.TCPConnector(limit=SENDERS)
        )

    def resume(self) -> None:
        """Send what the process before us left undelivered."""
        for event in list(self._books.undelivered.values()):
            self._begin(event, delay_s=0.0)

    def send(self, event: Event) -> None:
        """Take an event on its way, or lose it, as the faults say."""
        webhook = self._faults.now.webhook
        if self._faults.happens(webhook.loss_rate):
            self._end(self._remember(event), "lost")
            return
        held = OVERTAKEN_S if self._faults.happens(webhook.reorder) else 0.0
        self._begin(event, delay_s=self._faults.webhook_delay_s() + held)
        if self._faults.happens(webhook.duplicate):
            self._begin(event, delay_s=self._faults.webhook_delay_s())

    def send_again(self, event_id: str) -> bool:
        """Send an event once more, whatever became of it; False when it is not known any more."""
        delivery = self._deliveries.get(event_id)
        if delivery:
            self._begin(delivery.event, delay_s=0.0)
        return delivery is not None

    def shown(self, *, state: str | None, reference: str | None, limit: int) -> Iterator[dict[str, Any]]:
        """The newest deliveries first; of one *state* and about one charge (its PSP reference), if they are named."""
        rows = (
            one
            for one in reversed(self._deliveries.values())
            if state in (None, one.state) and reference in (None, one.event.charge.reference)
        )
        return (delivery.shown() for delivery, _ in zip(rows, range(limit), strict=False))

    async def close(self) -> None:
        """Stop sending; what is undelivered stays in the ledger."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._http.close()

    def _begin(self, event: Event, *, delay_s: float) -> None:
        delivery = self._remember(event)
        task = asyncio.get_running_loop().create_task(self._deliver(delivery, delay_s))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _remember(self, event: Event) -> Delivery:
        if event.event_id not in self._deliveries:
            self._deliveries[event.event_id] = Delivery(event)
        return self._deliveries[event.event_id]

    async def _deliver(self, delivery: Delivery, delay_s: float) -> None:
        await self._books.ledger.durable()
        for wait_s in (delay_s, *RETRIES_S):
            await asyncio.sleep(wait_s)
            account = self._books.accounts[delivery.event.charge.account_id]
            if account.webhook_url is None:
                self._end(delivery, "no_address")
                return
            async with self._seats:
                status = await self._post(account.webhook_url, account.webhook_secret, delivery.event)
            delivery.tries += 1
            delivery.last_status = status
            if status is not None and 200 <= status < 300:
                self._end(delivery, "delivered")
                return
        delivery.state = "failed"
        log.warning("webhook undelivered: event=%s tries=%d", delivery.event.event_id, delivery.tries)

    def _end(self, delivery: Delivery, state: str) -> None:
        delivery.state = state
        if state in ("delivered", "no_address"):
            self._delivered.append(delivery.event.event_id)
            if len(self._delivered) > REMEMBERED:
                self._deliveries.pop(self._delivered.popleft(), None)  # None: it was delivered twice.
        if delivery.event.event_id in self._books.undelivered:
            self._books.delivered(delivery.event.event_id)

    async def _post(self, url: str, secret: str, event: Event) -> int | None:
        now = datetime.now(UTC)
        body = event.body()
        headers = {
            "content-type": "application/json",
            "webhook-id": event.event_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": Webhook(secret).sign(event.event_id, now, body),
        }
        try:
            async with self._http.post(url, data=body.encode(), headers=headers, allow_redirects=False) as answer:
                return answer.status
        except (aiohttp.ClientError, TimeoutError):
            return None  # The row of GET /webhooks shows it as lastStatus null.
