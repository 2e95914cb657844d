"""The bell on RabbitMQ: what it promises on Redis, and that its queues are there before any worker was."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

import pytest
from kombu.exceptions import ChannelError

from shared import broker
from shared.depth import BrokerAway, Depths
from shared.doorbell import Doorbell
from shared.messages import QUEUE_OF, Step
from tests.support import brokers, lateness, own_rabbitmq
from tests.support.brokers import channel
from tests.support.own_rabbitmq import OwnRabbitMQ
from tests.support.psp import until

QUEUE: Final = QUEUE_OF[Step.LOCK_OFFER]
ROUNDS: Final = 3
MANY: Final = 500
ARRIVE_WITHIN_S: Final = 10.0
"""They take a fraction of a second."""
AWAY_WITHIN_S: Final = 15.0
"""A look tries twice, on the connection it had and on a fresh one, each of whose waits ends after 2 s."""


@pytest.fixture
def bell(node: OwnRabbitMQ) -> Iterator[Doorbell]:
    made = Doorbell(node.url)
    yield made
    made.close()
    brokers.forget(node.url)


@pytest.fixture
def depths(node: OwnRabbitMQ) -> Iterator[Depths]:
    made = Depths(node.url)
    yield made
    made.close()


def ring(bell: Doorbell, times: int) -> None:
    for number in range(times):
        bell.ring(Step.LOCK_OFFER, f"trk_{number}")


def ring_until_deeper(bell: Doorbell, depths: Depths, than: int) -> int:
    """Ring until more than *than* messages wait; how many rings that took.

    One is dropped whose node is away, or whose disk stands still: the first ring has every queue written down.
    """
    rung = 0

    def is_deeper() -> bool:
        nonlocal rung
        if not bell.waiting:  # Else the last one was not taken yet.
            ring(bell, 1)
            rung += 1
        return depth(depths) > than

    until(is_deeper, seconds=brokers.RECOVERS_WITHIN_S)
    return rung


def depth(depths: Depths) -> int:
    """How many messages wait; none while the node is on its way back and cannot say."""
    with suppress(BrokerAway):
        return depths.of(QUEUE)
    return 0


def test_every_ring_becomes_one_message_though_no_worker_was_ever_there(
    node: OwnRabbitMQ, bell: Doorbell, depths: Depths
) -> None:
    """In one round of three: a node whose disk stands still for seconds is away, and rings may be dropped."""
    ring_until_deeper(bell, depths, 0)
    found: list[int] = []

    def each_became_one() -> bool:
        brokers.forget(node.url)
        ring(bell, MANY)
        ends_at = time.monotonic() + ARRIVE_WITHIN_S
        while depth(depths) < MANY and time.monotonic() < ends_at:
            time.sleep(0.05)
        found.append(depth(depths))
        return found[-1] == MANY

    assert any(each_became_one() for _ in range(ROUNDS)), found


def test_a_queue_nobody_has_declared_holds_none_and_the_others_are_still_counted(
    bell: Doorbell, depths: Depths
) -> None:
    ring_until_deeper(bell, depths, 0)
    assert depths.of("nowhere") == 0
    assert depths.of(QUEUE) >= 1
    assert depths.of("nowhere") == 0


def test_queues_are_replicated_and_a_message_is_not_given_out_for_ever(
    node: OwnRabbitMQ, bell: Doorbell, depths: Depths
) -> None:
    ring_until_deeper(bell, depths, 0)
    promised = {"x-queue-type": "quorum", "x-delivery-limit": 20}
    with channel(node.url) as asked:
        assert asked.queue_declare(QUEUE, durable=True, auto_delete=False, arguments=promised).message_count >= 1
    for other in ({"x-queue-type": "classic"}, {"x-delivery-limit": 21}):
        with channel(node.url) as asked, pytest.raises(ChannelError, match="PRECONDITION_FAILED"):
            asked.queue_declare(QUEUE, durable=True, auto_delete=False, arguments=promised | other)


def test_rings_reach_a_node_that_was_killed_and_came_back() -> None:
    """A node of its own: 3.10 may find no leader after a kill for queues that were deleted and declared anew before."""
    with (
        tempfile.TemporaryDirectory(prefix="c2a-rabbitmq-") as folder,
        own_rabbitmq.running(Path(folder)) as node,
        closing(Doorbell(node.url)) as bell,
        closing(Depths(node.url)) as depths,
    ):
        killed_and_came_back(node, bell, depths)


def killed_and_came_back(node: OwnRabbitMQ, bell: Doorbell, depths: Depths) -> None:
    before = ring_until_deeper(bell, depths, 0)
    node.kill()
    started = time.monotonic()
    with lateness.watched() as late:
        ring(bell, 1_000)
        took = time.monotonic() - started
    assert took - late.seconds < 1.0, "it costs the caller nothing"
    with pytest.raises(BrokerAway):
        depths.of(QUEUE)
    node.start()
    ring_until_deeper(bell, depths, before)  # What was rung into the void may be dropped: the row rings again.


def test_a_publish_that_nobody_confirms_is_none(node: OwnRabbitMQ) -> None:
    producer = broker.producer(node.url, socket_timeout_s=1)
    with node.silent(), pytest.raises(TimeoutError):
        producer.publish("{}", routing_key=QUEUE)
    producer.connection.collect()
    brokers.forget(node.url)


def test_a_node_that_says_nothing_is_away_and_rings_reach_it_when_it_speaks(
    node: OwnRabbitMQ, bell: Doorbell, depths: Depths
) -> None:
    before = ring_until_deeper(bell, depths, 0)
    with node.silent():
        ring(bell, 1)
        started = time.monotonic()
        with pytest.raises(BrokerAway):
            depths.of(QUEUE)
        assert time.monotonic() - started < AWAY_WITHIN_S
    ring_until_deeper(bell, depths, before + 1)
