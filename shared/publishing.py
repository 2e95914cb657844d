"""How a batch of messages gets to the broker: through kombu, or straight onto Redis's list in kombu's envelope.

kombu takes 150 microseconds a message to find the list a queue is and to wrap the message; all of ours go to queues of
their own name, so on Redis the envelope is written here and a batch is one LPUSH a queue. A test holds it against
kombu's. The connection is kombu's also then: its address, its options, its pool.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final, Protocol

from shared.messages import Message, new_id
from shared.redis_wire import Wire, raised

PERSISTENT: Final = 2
"""AMQP's delivery mode: a message outlives its broker."""


class Publisher(Protocol):
    """Who publishes over one connection."""

    def publish(self, batch: Sequence[Message]) -> None:
        """Hand *batch* to the broker; raises broker.AWAY."""

    def close(self) -> None:
        """Let go of what is kept; never talks to the broker."""


def to(producer: Any, *, at_most: int) -> Publisher:
    """Who publishes batches of *at_most* in place of, or by, *producer* (shared/broker.py: producer)."""
    if producer.connection.transport.driver_type == "redis":
        return OnRedis(producer.channel.pool)
    return ThroughKombu(producer, at_most)


class OnRedis:
    """Each queue is a list of its name."""

    def __init__(self, pool: Any) -> None:
        self._wire = Wire(pool)

    def publish(self, batch: Sequence[Message]) -> None:
        """One command a queue, all in one round trip."""
        lists: dict[str, list[str]] = defaultdict(list)
        for one in batch:
            lists[one.queue].append(envelope(one))
        for answer in self._wire.ask(*(("LPUSH", queue, *envelopes) for queue, envelopes in lists.items())):
            raised(answer)

    def close(self) -> None:
        """Close the connection it kept."""
        self._wire.close()


class ThroughKombu:
    """Any broker that kombu knows."""

    def __init__(self, producer: Any, at_most: int) -> None:
        self._producer, self._at_most = producer, at_most

    def publish(self, batch: Sequence[Message]) -> None:
        """As kombu does it."""
        with self._producer.batch(self._at_most):
            for one in batch:
                self._publish(one)

    def close(self) -> None:
        """It keeps nothing of its own."""

    def _publish(self, one: Message) -> None:
        self._producer.publish(
            one.body,
            exchange="",
            routing_key=one.queue,
            headers=one.headers,
            correlation_id=one.task_id,
            content_type="application/json",
            content_encoding="utf-8",
            delivery_mode=PERSISTENT,
        )


def envelope(one: Message) -> str:
    """*one* as kombu keeps it on a list of Redis."""
    return json.dumps(
        {
            "body": b64encode(one.body.encode()).decode(),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": one.headers,
            "properties": {
                "correlation_id": one.task_id,
                "delivery_mode": PERSISTENT,
                "delivery_info": {"exchange": "", "routing_key": one.queue},
                "priority": 0,
                "body_encoding": "base64",
                "delivery_tag": new_id(),
            },
        }
    )
