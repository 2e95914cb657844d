"""Rings for the next step of an order, without ever making its caller wait.

A ring is put on a bounded list and a thread of the process publishes what has gathered, many in one round trip.
A broker that is slow, silent or away therefore costs admission nothing: rings that cannot be delivered are
dropped, because the order's row says when it is due and the rescuer rings again. Nothing is lost that matters.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Any, Final

import structlog

from shared import broker, publishing
from shared.messages import Lane, Message, Step, message
from shared.observe.metrics import rang
from shared.publishing import Publisher

log = structlog.get_logger(__name__)

CAPACITY: Final = 10_000
"""Rings that wait for a broker; about 10 s of the fastest admission, older ones are better rung by the rescuer."""
BATCH: Final = 200
"""Messages a round trip: 200 cost little more than one, and a lost batch is soon rung again."""
SOCKET_TIMEOUT_S: Final = 2.0
"""A broker that is silent for longer is treated as away."""
PAUSE_S: Final = 1.0
"""How long a broker that is away is left alone."""


class Doorbell:
    """One process's bell. Safe to ring from any thread; made and used after a fork, never before."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._rings: deque[Message] = deque(maxlen=CAPACITY)
        self._rung = threading.Event()
        self._closing = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._connection: Any = None
        self._publisher: Publisher | None = None

    def ring(self, step: Step, tracking_number: str, lane: Lane = Lane.TURN) -> None:
        """Ask for *step* of an order; returns at once, promises nothing."""
        self._rings.append(message(step, tracking_number, lane))
        if not self._rung.is_set():  # Else whoever it woke has not looked yet, and will.
            self._rung.set()
        if self._thread is None:
            self._begin()

    @property
    def waiting(self) -> int:
        """Rings that wait for the broker, at most CAPACITY."""
        return len(self._rings)

    def close(self, *, within_s: float = 2.0) -> None:
        """Deliver what has gathered, for at most *within_s* seconds, and stop."""
        self._closing.set()
        self._rung.set()
        if self._thread is not None:
            self._thread.join(within_s)

    def _begin(self) -> None:
        try:
            with self._starting:
                if self._thread is None:
                    thread = threading.Thread(target=self._work, name="doorbell", daemon=True)
                    thread.start()
                    self._thread = thread  # Once it runs; the next ring tries again.
        except (RuntimeError, MemoryError):  # The system has no thread to give: that is not whoever rings's trouble.
            log.exception("doorbell.not_started", waiting=len(self._rings))

    def _work(self) -> None:
        while batch := self._gather():
            try:
                self._deliver_once_or_twice(batch)
            except Exception:  # A thread that ended would never be missed: rings would wait for it for ever.
                log.exception("doorbell.failed", dropped=len(batch))
                rang("dropped", len(batch))
                self._closing.wait(PAUSE_S)
        self._hang_up()

    def _deliver_once_or_twice(self, batch: list[Message]) -> None:
        try:
            self._deliver(batch)
        except broker.AWAY as error:
            self._deliver_again(batch, type(error).__name__)

    def _gather(self) -> list[Message]:
        """What waits, at most a batch; empty once the bell is closed and everything was taken."""
        while not self._rings and not self._closing.is_set():
            self._rung.wait()
            self._rung.clear()
        return [self._rings.popleft() for _ in range(min(BATCH, len(self._rings)))]

    def _deliver_again(self, batch: list[Message], why: str) -> None:
        """Once more on a fresh connection: the old one may have died while nobody rang. Then give up."""
        try:
            self._deliver(batch)
        except broker.AWAY as error:
            log.warning("doorbell.broker_away", first=why, error=type(error).__name__, dropped=len(batch))
            rang("dropped", len(batch))
            self._closing.wait(PAUSE_S)

    def _deliver(self, batch: list[Message]) -> None:
        try:
            self._connected().publish(batch)
        except Exception:  # Whatever it was, the connection may be in the middle of something.
            self._hang_up()
            raise
        rang("sent", len(batch))

    def _connected(self) -> Publisher:
        if self._publisher is None:
            producer = broker.producer(self._url, socket_timeout_s=SOCKET_TIMEOUT_S)
            self._connection = producer.connection
            self._publisher = publishing.to(producer, at_most=BATCH)
        return self._publisher

    def _hang_up(self) -> None:
        publisher, self._publisher = self._publisher, None
        connection, self._connection = self._connection, None
        if publisher is not None:
            publisher.close()
        if connection is not None:
            connection.collect(socket_timeout=SOCKET_TIMEOUT_S)  # Unlike close, it never talks to the broker.
