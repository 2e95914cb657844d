"""What can happen to a broker that is RabbitMQ: killed, emptied, silent."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from deploy.crashtest.hand import Blow, Hand
from shared import broker
from shared.messages import queues

NAME: Final = "rabbitmq"
"""Its program in stack.json."""
SILENT_S: Final = 6.0
"""Longer than any of our waits for it: 2 s of a bell, 5 s of a worker."""
TIMEOUT_S: Final = 10.0
"""A purge of every queue, beside all that goes on."""


async def killed(hand: Hand) -> Blow:
    """kill -9; what it had confirmed is still there when it comes back."""
    reached = await hand.kill_whole(NAME)
    url = hand.target.text("brokerUrl")
    await hand.until(lambda: _answers(url), NAME)
    return Blow(f"RabbitMQ: {reached} processes killed", reached)


async def emptied(hand: Hand) -> Blow:
    """Every queue purged: all that waited is gone, and the broker looks healthy."""
    gone = await asyncio.to_thread(_purge, hand.target.text("brokerUrl"))
    return Blow(f"RabbitMQ: {gone} messages purged", gone)


async def silent(hand: Hand) -> Blow:
    """SIGSTOP: connections stand, nothing answers and nothing is confirmed."""
    reached = await hand.stop_for(hand.target.family(NAME), SILENT_S)
    return Blow(f"RabbitMQ: {reached} processes stopped for {SILENT_S:g} s", reached)


def _purge(url: str) -> int:
    connection: Any = broker.connect(url, socket_timeout_s=TIMEOUT_S)
    try:
        connection.ensure_connection(max_retries=1, interval_start=0)
        channel = connection.channel()
        return sum(int(channel.queue_purge(queue)) for queue in queues())
    except broker.AWAY:
        return 0  # Another fault was there first: nothing was reached.
    finally:
        connection.collect()


def _answers(url: str) -> bool:
    connection: Any = broker.connect(url, socket_timeout_s=1)
    try:
        connection.ensure_connection(max_retries=0)
        connection.release()
    except broker.AWAY:
        return False
    return True
