"""The pool serves its waiters in turn, loses no place, and lets nobody wait longer than said."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from deploy.stack.waiting import until
from shared.config import Settings
from shared.store.engine import create_engine, statements
from shared.store.fair_pool import FairPool, Turns
from tests.support import lateness


@pytest.fixture
def narrow(settings: Settings) -> Iterator[Engine]:
    """The product's pool with one place and a fifth of a second's patience."""
    engine = create_engine(settings.model_copy(update={"pool_size": 1, "database_wait_s": 0.2}))
    yield engine
    engine.dispose()


def test_the_products_pool_is_the_fair_one(engine: Engine) -> None:
    assert isinstance(engine.pool, FairPool)


def test_a_place_given_back_is_the_oldest_waiters_though_another_asks_first() -> None:
    turns = Turns(1)
    assert turns.take(0)
    served: list[str] = []
    waiter = threading.Thread(target=lambda: served.append("waiter") if turns.take(5) else None)
    waiter.start()
    until(lambda: len(turns._waiting) == 1, "the waiter stands in line", within_s=5)

    turns.give()
    passer_by = turns.take(0)  # Asks at once, perhaps before the waiter has woken.

    waiter.join()
    assert (served, passer_by) == (["waiter"], False)


def test_waiters_are_served_in_the_order_they_came(narrow: Engine) -> None:
    served: list[int] = []

    def work(number: int) -> None:
        with statements(narrow) as conn:
            conn.execute(text("SELECT pg_sleep(0.01)"))
            served.append(number)

    assert isinstance(narrow.pool, FairPool)
    narrow.pool._timeout = 30.0  # Their patience is not the matter here, and forming the line takes its time.
    line = narrow.pool._turns._waiting
    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    with statements(narrow):
        for number, thread in enumerate(threads):
            thread.start()
            until(lambda expected=number + 1: len(line) == expected, "it stands in line", within_s=5)  # type: ignore[misc]
    for thread in threads:
        thread.join()

    assert served == list(range(6))


def test_nobody_waits_longer_than_said_and_the_place_is_not_lost(narrow: Engine) -> None:
    with statements(narrow), lateness.watched() as late:
        began = time.monotonic()
        with pytest.raises(PoolTimeout), statements(narrow):
            pass
        took = time.monotonic() - began
    assert 0.2 <= took < 1.0 + late.seconds

    for _ in range(3):
        with statements(narrow) as conn:
            assert conn.execute(text("SELECT 1")).scalar_one() == 1


def test_a_connection_that_dies_gives_its_place_back(narrow: Engine) -> None:
    for _ in range(3):
        with pytest.raises(OperationalError), statements(narrow) as conn:
            conn.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    with statements(narrow) as conn:
        assert conn.execute(text("SELECT 1")).scalar_one() == 1


def test_a_connection_that_cannot_be_made_gives_its_place_back(settings: Settings) -> None:
    nowhere = type(settings.database_url)("postgresql://u:p@127.0.0.1:9/x")
    engine = create_engine(
        settings.model_copy(update={"database_url": nowhere, "pool_size": 1, "database_wait_s": 0.2})
    )

    for _ in range(3):
        with pytest.raises(OperationalError), statements(engine):
            pass
    engine.dispose()
