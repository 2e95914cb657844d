"""What a test does to a broker whichever it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis

from shared import broker
from shared.messages import queues


def forget(url: str) -> None:
    """Every message that waits at the broker at *url* is gone."""
    if broker.is_redis(url):
        with redis.Redis.from_url(url) as client:
            client.flushall()
        return
    with channel(url) as asked:
        for queue in queues():
            asked.queue_purge(queue)


@contextmanager
def channel(url: str) -> Iterator[Any]:
    """A channel of the broker at *url*."""
    connection: Any = broker.connect(url, socket_timeout_s=5)
    connection.ensure_connection(max_retries=1, interval_start=0)
    try:
        yield connection.channel()
    finally:
        connection.collect()
