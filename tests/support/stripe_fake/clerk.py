"""Does things later, and in order: settles what is pending, and sends signed webhooks. One thread of its own."""

from __future__ import annotations

import heapq
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from secrets import token_hex

import httpx
from stripe import WebhookSignature

from tests.support.stripe_fake.books import Books
from tests.support.stripe_fake.errors import Document


@dataclass(slots=True)
class Clerk:
    """What is to be done, and when."""

    _jobs: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _numbers: count[int] = field(default_factory=count)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _over: bool = False
    _thread: threading.Thread | None = None
    _http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=5, trust_env=False))

    def start(self) -> None:
        """Begin to work."""
        self._thread = threading.Thread(target=self._work, name="stripe-clerk")
        self._thread.start()

    def stop(self) -> None:
        """Leave the rest undone."""
        with self._changed:
            self._over = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()
        self._http.close()

    def later(self, seconds: float, job: Callable[[], None]) -> None:
        """Do *job* after *seconds*."""
        with self._changed:
            heapq.heappush(self._jobs, (time.monotonic() + seconds, next(self._numbers), job))
            self._changed.notify()

    def tell(self, books: Books, kind: str, document: Document) -> None:
        """Send *document*, as it is now, to the account's address."""
        if books.webhook_url is None:
            return
        body = json.dumps(event(kind, document))
        self.later(0.0, lambda: self._send(books, body))

    def _send(self, books: Books, body: str) -> None:
        header = WebhookSignature.generate_signature_header(body, books.webhook_secret)
        assert books.webhook_url is not None
        try:
            self._http.post(books.webhook_url, content=body, headers={"Stripe-Signature": header})
        except httpx.TransportError:
            return  # Its receiver is gone with its test.

    def _work(self) -> None:
        while (job := self._next()) is not None:
            job()

    def _next(self) -> Callable[[], None] | None:
        with self._changed:
            while not self._over:
                wait = self._jobs[0][0] - time.monotonic() if self._jobs else None
                if wait is not None and wait <= 0:
                    return heapq.heappop(self._jobs)[2]
                self._changed.wait(wait)
        return None


def event(kind: str, document: Document) -> Document:
    """An event as Stripe words it."""
    name = f"evt_{token_hex(12)}"
    return {"id": name, "object": "event", "type": kind, "created": int(time.time()), "data": {"object": document}}
