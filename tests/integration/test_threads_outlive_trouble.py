"""The threads that a process has once outlive what goes wrong with a round of theirs, and a start that failed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import Engine

from shared.config import Settings
from shared.domain.states import OrderState
from shared.doorbell import Doorbell
from shared.messages import QUEUE_OF, Step
from shared.store import leases, news
from shared.store.engine import create_engine
from shared.store.leases import LeaseTerms
from shared.store.listening import Listener
from shared.store.orders import Order
from tests.support.attempt_rows import first_attempt
from tests.support.order_rows import again, an_order
from tests.support.own_redis import own_redis
from tests.support.psp import until
from tests.support.scarcity import NoDescriptors, no_threads
from tests.support.told import told_of
from workers.heartbeat import Heartbeat

TERMS: Final = LeaseTerms(timedelta(seconds=1), timedelta(minutes=5))
WITHIN_S: Final = 10.0


@pytest.fixture
def ours(settings: Settings) -> Iterator[Engine]:
    """A pool of this test's own."""
    made = create_engine(settings)
    yield made
    made.dispose()


@pytest.fixture
def heart(ours: Engine) -> Iterator[Heartbeat]:
    made = Heartbeat(ours, TERMS)
    yield made
    made.close()


def a_claim(engine: Engine) -> Order:
    """An order that somebody holds."""
    order = an_order(engine, OrderState.OFFER_LOCKED)
    with engine.begin() as conn:
        mine = leases.claim(conn, order, first_attempt(order), owner="me", terms=TERMS)
    assert mine is not None
    return mine


def is_renewed(engine: Engine, order: Order) -> bool:
    """Whether the lease of *order* ends later than it did when it was claimed."""
    now = again(engine, order.tracking_number).lease_until
    assert now is not None
    assert order.lease_until is not None
    return now > order.lease_until


@contextmanager
def listening(engine: Engine) -> Iterator[list[str]]:
    """What is heard meanwhile."""
    heard: list[str] = []
    listener = Listener(engine, heard.extend, lambda: None)
    listener.start()
    try:
        yield heard
    finally:
        listener.end()


def is_told(engine: Engine, heard: list[str]) -> bool:
    """Whether news reaches the listener: it is told anew each time, for what nobody could tell is gone."""
    news.tell(engine, "trk_told")
    return "trk_told" in heard


def test_leases_are_renewed_again_once_there_is_a_descriptor_for_it(
    ours: Engine, heart: Heartbeat, engine: Engine
) -> None:
    order = a_claim(engine)
    scarce = NoDescriptors(ours)
    with heart.keeping(order, claimed_at=time.monotonic()):
        for _ in range(2):
            assert scarce.refused.acquire(timeout=WITHIN_S), "it beats on"
        scarce.end()

        until(lambda: is_renewed(engine, order), seconds=WITHIN_S)


def test_a_step_that_got_no_thread_for_its_lease_does_not_begin_and_the_next_one_does(
    heart: Heartbeat, engine: Engine
) -> None:
    unkept, kept = a_claim(engine), a_claim(engine)
    with no_threads(), pytest.raises(RuntimeError), heart.keeping(unkept, claimed_at=time.monotonic()):
        pass
    with heart.keeping(kept, claimed_at=time.monotonic()):
        until(lambda: is_renewed(engine, kept), seconds=WITHIN_S)

    assert not is_renewed(engine, unkept), "nobody works on it"


def test_news_is_told_again_once_there_is_a_descriptor_for_it(ours: Engine, engine: Engine) -> None:
    scarce = NoDescriptors(ours)
    with listening(engine) as heard:
        for _ in range(2):
            until(lambda: is_told(ours, heard) or scarce.refused.acquire(blocking=False), seconds=WITHIN_S)
        scarce.end()
        assert heard == []

        until(lambda: is_told(ours, heard), seconds=WITHIN_S)


def test_who_tells_does_not_mind_that_there_is_no_thread_for_it_and_the_next_news_is_told(
    ours: Engine, engine: Engine
) -> None:
    with listening(engine) as heard:
        with no_threads():
            news.tell(ours, "trk_untold")

        until(lambda: is_told(ours, heard), seconds=WITHIN_S)


def test_a_listener_hears_again_once_there_is_a_descriptor_for_it(ours: Engine, engine: Engine) -> None:
    scarce = NoDescriptors(ours)
    with listening(ours) as heard:
        for _ in range(2):
            assert scarce.refused.acquire(timeout=WITHIN_S), "it tries again"
        scarce.end()

        until(lambda: is_told(engine, heard), seconds=WITHIN_S)


def test_a_bell_outlives_what_nobody_foresaw() -> None:
    """An address that names no broker stands for it: nothing that tells of a broker that is away."""
    bell = Doorbell("nowhere://")
    with told_of("doorbell") as told:
        for _ in range(2):
            bell.ring(Step.LOCK_OFFER, "trk_1")
            until(lambda: bell.waiting == 0, seconds=WITHIN_S)
        bell.close(within_s=WITHIN_S)

    failed = [line for line in told if line["event"] == "doorbell.failed"]  # Another bell may wait for its broker yet.
    assert len(failed) == 2


def test_who_rings_does_not_mind_that_there_is_no_thread_for_it_and_the_next_ring_delivers_both(tmp_path: Path) -> None:
    with own_redis(tmp_path) as broker:
        bell = Doorbell(broker.url)
        with no_threads():
            bell.ring(Step.LOCK_OFFER, "trk_1")
        bell.ring(Step.LOCK_OFFER, "trk_2")
        bell.close(within_s=WITHIN_S)

        with broker.client() as client:
            assert client.llen(QUEUE_OF[Step.LOCK_OFFER]) == 2
