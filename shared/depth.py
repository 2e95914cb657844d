"""How many messages wait in a queue, asked of the broker itself; every asking has an end.

A passive declaration is the one question that Redis and RabbitMQ both answer without changing anything. A message
that a worker has taken and not acknowledged is not counted: whoever compares must allow for work in hand.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final

from kombu.exceptions import ChannelError

from shared import broker

SOCKET_TIMEOUT_S: Final = 2.0
"""A broker that is silent for longer is treated as away."""


class BrokerAway(RuntimeError):
    """Nobody can say how deep a queue is."""


@dataclass(frozen=True, slots=True)
class Depth:
    """What a broker says of one queue. *consumers*: who reads it, None where the broker does not know (Redis)."""

    messages: int
    consumers: int | None


class Depths:
    """The depths of one broker's queues; for one thread, connects on first use."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: Any = None
        self._channel: Any = None
        self._told: dict[tuple[str, ...], tuple[float, int]] = {}

    def of_and_fall(self, *queues: str) -> tuple[int, float]:
        """The depth of *queues* together, and how many messages a second fewer there are than when they were last
        asked for, at least 0.

        Raises BrokerAway.
        """
        depth, now = sum(map(self.of, queues)), time.monotonic()
        at, before = self._told.get(queues, (now, depth))
        self._told[queues] = (now, depth)
        return depth, max(0.0, (before - depth) / (now - at)) if now > at else 0.0

    def of(self, queue: str) -> int:
        """Messages that wait in *queue*; a queue nobody has declared holds none. Raises BrokerAway."""
        return self.told_of(queue).messages

    def told_of(self, queue: str) -> Depth:
        """How deep *queue* is and who reads it. Raises BrokerAway."""
        while True:
            was_fresh = self._channel is None
            try:
                return self._ask(queue)
            except broker.AWAY as error:
                self.close()
                if was_fresh:
                    raise BrokerAway(type(error).__name__) from error
                # It may have died while nobody asked: once more on a fresh one.

    def close(self) -> None:
        """Let go of the broker; the next question connects anew."""
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:  # Asked for itself: a channel that its broker closed knows no connection any more.
            connection.collect(socket_timeout=SOCKET_TIMEOUT_S)

    def _ask(self, queue: str) -> Depth:
        if self._channel is None:
            self._connection = broker.connect(self._url, socket_timeout_s=SOCKET_TIMEOUT_S)
            # As it comes it would sleep 2 s between.
            self._connection.ensure_connection(max_retries=1, interval_start=0)
            self._channel = self._connection.channel()
        try:
            told = self._channel.queue_declare(queue, passive=True)
        except ChannelError:  # No such queue; RabbitMQ closes the channel that asked.
            self.close()
            return Depth(0, None)
        knows = not self._url.startswith("redis")
        return Depth(int(told.message_count), int(told.consumer_count) if knows else None)
