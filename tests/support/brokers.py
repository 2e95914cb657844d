"""What a test does to a broker whichever it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import redis

from shared import broker
from shared.messages import queues
from tests.support.psp import until

RECOVERS_WITHIN_S: Final = 90.0
"""What RabbitMQ 3.10 took for eleven quorum queues after a kill -9 was 30 s at most."""


def forget(url: str) -> None:
    """Every message that waits at the broker at *url* is gone."""
    if broker.is_redis(url):
        with redis.Redis.from_url(url) as client:
            client.flushall()
        return
    until(lambda: _is_purged(url), seconds=RECOVERS_WITHIN_S)


def _is_purged(url: str) -> bool:
    """Whether every queue let go of its messages; after a node was killed its queues have no leader for a while."""
    try:
        with channel(url) as asked:
            for queue in queues():
                asked.queue_purge(queue)
    except broker.AWAY:
        return False
    return True


@contextmanager
def channel(url: str) -> Iterator[Any]:
    """A channel of the broker at *url*."""
    connection: Any = broker.connect(url, socket_timeout_s=5)
    connection.ensure_connection(max_retries=1, interval_start=0)
    try:
        yield connection.channel()
    finally:
        connection.collect()
