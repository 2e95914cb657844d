"""A change to a table that somebody reads for long stops nobody behind it, and is made when the reader is gone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final

import psycopg
import pytest
from psycopg.errors import LockNotAvailable
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

from shared.domain.states import OrderState
from shared.store import migrate
from shared.store.engine import statements
from tests.support import lateness
from tests.support.order_rows import an_order
from tests.support.psp import until
from tests.support.unsynced import unsynced

AS_USUAL_S: Final = 1.0
"""A statement takes milliseconds; the row of the list of faults allows a second."""
READ_FOR_S: Final = 1.5
"""Longer than a migration waits at a time."""
WAITS: Final = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'ALTER TABLE orders%'"


def add_column(conn: Connection) -> None:
    """What a next version might do first: a column that nobody knows yet."""
    conn.execute(text("ALTER TABLE orders ADD COLUMN of_the_next_version text"))


def has_column(engine: Engine) -> bool:
    query = """
        SELECT 1 FROM information_schema.columns WHERE table_name = 'orders' AND column_name = 'of_the_next_version'"""
    with statements(engine) as conn:
        return conn.execute(text(query)).one_or_none() is not None


@pytest.fixture(autouse=True)
def _without_it_again(engine: Engine) -> Iterator[None]:
    yield
    with statements(engine) as conn:
        conn.execute(text("ALTER TABLE orders DROP COLUMN IF EXISTS of_the_next_version"))


@pytest.fixture(scope="module", autouse=True)
def _unsynced(postgres_url: str) -> Iterator[None]:
    """What a commit costs on a disk that others write to is not the matter here."""
    with unsynced(postgres_url):
        yield


@contextmanager
def a_long_reader(url: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """A transaction that has read the orders and is not over, as a backup's."""
    with psycopg.connect(url) as conn:
        conn.execute("SELECT FROM orders LIMIT 1")
        yield conn
        conn.rollback()


def test_a_migration_in_the_way_of_a_long_reader_keeps_nobody_waiting_for_a_second(
    engine: Engine, postgres_url: str
) -> None:
    with ThreadPoolExecutor(1) as pool:
        with a_long_reader(postgres_url), psycopg.connect(postgres_url, autocommit=True) as observer:
            migrating: Future[None] = pool.submit(migrate.gently, engine, add_column)
            until(lambda: observer.execute(WAITS).fetchall())
            ends_at, longest = time.monotonic() + READ_FOR_S, 0.0
            while time.monotonic() < ends_at:
                with lateness.watched() as late:
                    began = time.monotonic()
                    an_order(engine, OrderState.ADMITTED)
                    took = time.monotonic() - began
                longest = max(longest, took - late.seconds)
            assert not migrating.done()
        migrating.result(60)
    assert has_column(engine)
    assert longest < AS_USUAL_S


def test_a_reader_that_never_ends_is_told_of_and_nothing_is_changed(engine: Engine, postgres_url: str) -> None:
    with a_long_reader(postgres_url), pytest.raises(OperationalError) as refused:
        migrate.gently(engine, add_column, tries=1)
    assert isinstance(refused.value.orig, LockNotAvailable)
    assert not has_column(engine)


def test_a_change_that_fails_for_another_reason_is_not_tried_again(engine: Engine) -> None:
    tried: list[int] = []

    def breaks(conn: Connection) -> None:
        tried.append(1)
        conn.execute(text("ALTER TABLE there_is_none ADD COLUMN x text"))

    with pytest.raises(Exception, match="there_is_none"):
        migrate.gently(engine, breaks)
    assert tried == [1]
