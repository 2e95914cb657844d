"""The bell never makes its caller wait, and rings again on a fresh connection when the old one died."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.broker import connect as kombu_connect
from shared.doorbell import CAPACITY, Doorbell
from shared.messages import QUEUE_OF, Step, message
from shared.publishing import OnRedis, ThroughKombu, to
from tests.support import lateness
from tests.support.own_redis import OwnRedis, own_redis
from tests.support.psp import until

QUEUE = QUEUE_OF[Step.LOCK_OFFER]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[OwnRedis]:
    with own_redis(tmp_path) as running:
        yield running


@pytest.fixture
def bell(broker: OwnRedis) -> Iterator[Doorbell]:
    made = Doorbell(broker.url)
    yield made
    made.close()


def depth(broker: OwnRedis) -> int:
    with broker.client() as client:
        return int(client.llen(QUEUE))


def ring(bell: Doorbell, times: int) -> None:
    for number in range(times):
        bell.ring(Step.LOCK_OFFER, f"trk_{number}")


def test_every_ring_becomes_one_message(bell: Doorbell, broker: OwnRedis) -> None:
    ring(bell, 500)
    until(lambda: depth(broker) == 500)


def test_closing_delivers_what_has_gathered(bell: Doorbell, broker: OwnRedis) -> None:
    ring(bell, 300)
    bell.close(within_s=5)
    assert depth(broker) == 300


def test_a_connection_that_died_while_nobody_rang_costs_no_ring(bell: Doorbell, broker: OwnRedis) -> None:
    ring(bell, 1)
    until(lambda: depth(broker) == 1)
    with broker.client() as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    ring(bell, 1)
    until(lambda: depth(broker) == 2)


def test_a_broker_that_is_away_costs_the_caller_nothing(bell: Doorbell, broker: OwnRedis) -> None:
    """Admission must not feel a dead broker: a thousand rings in far less than one socket timeout."""
    broker.kill()
    with lateness.watched() as late:
        started = time.monotonic()
        ring(bell, 1_000)
        took = time.monotonic() - started
    assert took - late.seconds < 1.0


def test_rings_reach_a_broker_that_came_back(bell: Doorbell, broker: OwnRedis) -> None:
    ring(bell, 1)
    until(lambda: depth(broker) == 1)
    broker.kill()
    ring(bell, 1)
    broker.start()

    def rung_after() -> bool:
        ring(bell, 1)  # What was rung into the void may be dropped: the row rings again. This one arrives.
        return depth(broker) > 1

    until(rung_after, seconds=15)


def test_a_bell_that_nobody_answers_holds_a_bounded_number_of_rings(bell: Doorbell, broker: OwnRedis) -> None:
    broker.kill()
    ring(bell, CAPACITY + 500)
    assert bell.waiting <= CAPACITY


def test_on_redis_a_message_is_what_kombu_would_have_put_there(broker: OwnRedis) -> None:
    sent = message(Step.LOCK_OFFER, "trk_01HZ9XPZ3K2A8E0VBVQH7N9XGB")
    with kombu_connect(broker.url, socket_timeout_s=5.0) as connection, broker.client() as client:
        ThroughKombu(connection.Producer(auto_declare=False), 1).publish([sent])
        theirs = json.loads(client.rpop(QUEUE))
        by_hand = to(connection.Producer(auto_declare=False), at_most=1)
        by_hand.publish([sent])
        ours = json.loads(client.rpop(QUEUE))
        by_hand.close()

    assert isinstance(by_hand, OnRedis)
    assert theirs["properties"].pop("delivery_tag") != ours["properties"].pop("delivery_tag")
    assert ours == theirs
