"""How a batch of messages gets to the broker: through kombu, or straight onto Redis's list in kombu's envelope.

kombu takes 150 microseconds a message to find the list a queue is and to wrap the message; all of ours go to queues of
their own name, so on Redis the envelope is written here and a batch is one LPUSH a queue. A test holds it against
kombu's. The connection is kombu's also then: its address, its options, its pool.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, Final

from shared.messages import Message, new_id

PERSISTENT: Final = 2
"""AMQP's delivery mode: a message outlives its broker."""


def to(producer: Any, *, at_once: int) -> Callable[[Sequence[Message]], None]:
    """Who publishes batches of at most *at_once* by *producer* (shared/broker.py: producer); raises broker.AWAY."""
    if producer.connection.transport.driver_type == "redis":
        return lambda batch: _push(producer.channel, batch)

    def publish(batch: Sequence[Message]) -> None:
        with producer.batch(at_once):
            for one in batch:
                _publish(producer, one)

    return publish


def _push(channel: Any, batch: Sequence[Message]) -> None:
    lists: dict[str, list[str]] = defaultdict(list)
    for one in batch:
        lists[one.queue].append(envelope(one))
    with channel.conn_or_acquire() as client:
        for queue, envelopes in lists.items():
            client.lpush(queue, *envelopes)


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


def _publish(producer: Any, one: Message) -> None:
    producer.publish(
        one.body,
        exchange="",
        routing_key=one.queue,
        headers=one.headers,
        correlation_id=one.task_id,
        content_type="application/json",
        content_encoding="utf-8",
        delivery_mode=PERSISTENT,
    )
