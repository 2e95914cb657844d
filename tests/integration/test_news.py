"""Whoever listens hears which orders moved, after the commit; nothing is written for it and nobody is kept waiting."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine

from shared.config import Settings
from shared.domain.states import OrderEvent, OrderState
from shared.store import moves
from shared.store.engine import create_engine
from shared.store.listening import Listener
from shared.store.row_security import Role
from tests.support.order_rows import an_order
from tests.support.own_postgres import own_postgres

_SOON: Final = timedelta(seconds=10)
HEARD_WITHIN_S: Final = 10.0
"""News takes some 20 ms; a machine with more to do than it can, longer."""


class Ear:
    """What a listener heard."""

    def __init__(self, engine: Engine) -> None:
        self.heard: queue.Queue[str] = queue.Queue()
        self.unsure = threading.Semaphore(0)
        self.listener = Listener(engine, self._hear, self.unsure.release)
        self.listener.start()
        assert self.unsure.acquire(timeout=HEARD_WITHIN_S)

    def _hear(self, numbers: list[str]) -> None:
        for number in numbers:
            self.heard.put(number)

    def next(self) -> str:
        """The next number that is heard."""
        return self.heard.get(timeout=HEARD_WITHIN_S)


@contextmanager
def listening(settings: Settings) -> Iterator[Ear]:
    """A listener as the front door has it."""
    engine = create_engine(settings, answer_within_s=settings.database_answer_s, role=Role.API)
    ear = Ear(engine)
    try:
        yield ear
    finally:
        ear.listener.end()
        engine.dispose()


@pytest.fixture
def ear(settings: Settings) -> Iterator[Ear]:
    with listening(settings) as made:
        yield made


def test_what_the_public_may_see_is_heard_after_the_commit_and_not_before(ear: Ear, engine: Engine) -> None:
    first, second = (an_order(engine, OrderState.CAPTURED) for _ in range(2))
    with engine.begin() as conn:
        moves.advance(conn, first, OrderEvent.METHOD_STORED, actor="tokenize")
        moves.advance(engine, second, OrderEvent.METHOD_STORED, actor="tokenize")

        assert ear.next() == second.tracking_number

    assert ear.next() == first.tracking_number


def test_a_move_whose_word_for_the_public_is_the_same_is_not_told(ear: Ear, engine: Engine) -> None:
    unseen, seen = an_order(engine, OrderState.OFFER_LOCKED), an_order(engine, OrderState.CAPTURED)
    paid = moves.advance(engine, unseen, OrderEvent.NOTHING_TO_PAY, actor="pay", due_in=_SOON)
    moves.advance(engine, seen, OrderEvent.METHOD_STORED, actor="tokenize")

    assert paid is not None
    assert ear.next() == seen.tracking_number


def test_the_end_of_an_order_with_nothing_to_store_is_told(ear: Ear, engine: Engine) -> None:
    order = an_order(engine, OrderState.CAPTURED)
    moves.ended_with_nothing_to_store(engine, order.tracking_number)

    assert ear.next() == order.tracking_number


def test_many_moves_of_one_moment_are_all_told(ear: Ear, engine: Engine) -> None:
    moved = [an_order(engine, OrderState.CAPTURED) for _ in range(300)]
    for order in moved:
        moves.advance(engine, order, OrderEvent.METHOD_STORED, actor="tokenize")

    assert {ear.next() for _ in moved} == {order.tracking_number for order in moved}


def test_who_begins_to_listen_right_after_unheard_news_hears_the_next(settings: Settings, engine: Engine) -> None:
    unheard, heard = (an_order(engine, OrderState.CAPTURED) for _ in range(2))
    moves.advance(engine, unheard, OrderEvent.METHOD_STORED, actor="tokenize")
    with listening(settings) as ear:
        moves.advance(engine, heard, OrderEvent.METHOD_STORED, actor="tokenize")

        while ear.next() != heard.tracking_number:
            pass


def test_a_restart_of_the_database_is_told_as_doubt_and_news_comes_again() -> None:
    with own_postgres() as postgres:
        settings = Settings.model_validate({"DATABASE_URL": SecretStr(postgres.url)})
        engine = create_engine(settings)
        with listening(settings) as ear:
            postgres.crash()
            postgres.start()

            assert ear.unsure.acquire(timeout=30)
            order = an_order(engine, OrderState.CAPTURED)
            moves.advance(engine, order, OrderEvent.METHOD_STORED, actor="tokenize")
            assert ear.next() == order.tracking_number
        engine.dispose()
