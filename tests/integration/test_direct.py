"""A statement straight on psycopg fails as the engine's own would, and leaves its connection as the pool lends it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Final

import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, Integer, bindparam, literal, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from shared.config import Settings
from shared.store.direct import Direct
from shared.store.engine import create_engine
from shared.store.one_trip import MOST_PREPARED
from tests.support.psp import until

ADDED: Final = Direct(text("INSERT INTO kept VALUES (:n) RETURNING n"))
ASKED: Final = Direct(text("SELECT pg_backend_pid(), :word").bindparams(bindparam("word")))
SLOW: Final = Direct(text("SELECT pg_sleep(20)"))


@pytest.fixture
def pool(settings: Settings) -> Iterator[Engine]:
    """A pool of one connection, and a table."""
    engine = create_engine(settings.model_copy(update={"pool_size": 1}))
    with engine.begin() as conn:
        conn.execute(text("DROP TABLE IF EXISTS kept"))
        conn.execute(text("CREATE TABLE kept (n integer PRIMARY KEY)"))
    yield engine
    with engine.begin() as conn:
        conn.execute(text("DROP TABLE kept"))
    engine.dispose()


def count(pool: Engine) -> int:
    with pool.connect() as conn:
        return int(conn.execute(text("SELECT count(*) FROM kept")).scalar_one())


def rolled_back(pool: Engine) -> None:
    """Write a row and think better of it: it is gone only if the connection begins transactions."""
    with pool.connect() as conn:
        conn.execute(text("INSERT INTO kept VALUES (99)"))
        conn.rollback()


def test_it_commits_by_itself_and_gives_the_first_row(pool: Engine) -> None:
    assert ADDED.one_or_none(pool, {"n": 1}) == (1,)
    assert count(pool) == 1


def test_what_comes_after_it_begins_transactions_again(pool: Engine) -> None:
    ADDED.one_or_none(pool, {"n": 1})
    rolled_back(pool)
    assert count(pool) == 1


def test_a_refused_statement_is_the_engines_error_and_spoils_nothing(pool: Engine) -> None:
    ADDED.one_or_none(pool, {"n": 1})
    with pytest.raises(IntegrityError) as refused:
        ADDED.one_or_none(pool, {"n": 1})
    assert not refused.value.connection_invalidated
    rolled_back(pool)
    assert count(pool) == 1


def test_after_a_broken_connection_none_that_is_as_old_is_used_again(settings: Settings) -> None:
    engine = create_engine(settings.model_copy(update={"pool_size": 2}))
    with engine.connect() as one, engine.connect() as other:
        pids = [conn.execute(text("SELECT pg_backend_pid()")).scalar_one() for conn in (one, other)]
    with psycopg.connect(settings.database_url.get_secret_value(), autocommit=True) as conn:
        conn.execute("SELECT pg_terminate_backend(pid) FROM unnest(%s::integer[]) AS pid", (pids,))

    with pytest.raises(DBAPIError) as cut:
        ASKED.one_or_none(engine, {"word": "one"})
    assert cut.value.connection_invalidated
    for _ in range(2):
        told = ASKED.one_or_none(engine, {"word": "again"})
        assert told is not None
        assert told[0] not in pids
    engine.dispose()


def test_a_database_that_is_not_there_is_the_engines_error_too(settings: Settings) -> None:
    engine = create_engine(settings.model_copy(update={"database_url": SecretStr("postgresql://127.0.0.1:9/x")}))
    with pytest.raises(OperationalError) as away:
        ASKED.one_or_none(engine, {"word": "anybody?"})
    assert not away.value.connection_invalidated, "there was no connection"
    engine.dispose()


class Gone(BaseException):
    """What a greenlet is ended with."""


def ends_what_sleeps(url: str) -> None:
    """Signal this process once the server is at SLOW."""
    query = """
        SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND state = 'active'
        AND query LIKE '%pg_sleep(20)%' AND pid <> pg_backend_pid()"""
    with psycopg.connect(url, autocommit=True) as conn:
        until(lambda: conn.execute(query).fetchall(), seconds=15)
    os.kill(os.getpid(), signal.SIGUSR1)


def test_a_call_that_was_ended_in_the_middle_leaves_nobody_its_connection(pool: Engine, postgres_url: str) -> None:
    def end(_signal: int, _frame: FrameType | None) -> None:
        raise Gone

    before = signal.signal(signal.SIGUSR1, end)
    later = threading.Thread(target=ends_what_sleeps, args=(postgres_url,))
    later.start()
    try:
        with pytest.raises(Gone):
            SLOW.one_or_none(pool, {})
    finally:
        later.join()
        signal.signal(signal.SIGUSR1, before)
    assert ASKED.one_or_none(pool, {"word": "and on"}) is not None
    rolled_back(pool)
    assert count(pool) == 0


def test_no_row_is_none(pool: Engine) -> None:
    assert Direct(text("SELECT n FROM kept WHERE n = :n")).one_or_none(pool, {"n": 7}) is None


def test_values_the_statement_has_itself_need_not_be_given(pool: Engine) -> None:
    two = Direct(select(literal(2) + bindparam("n", type_=Integer)))
    assert two.one_or_none(pool, {"n": 3}) == (5,)


def test_what_was_prepared_and_forgotten_by_the_server_is_prepared_again(pool: Engine) -> None:
    """psycopg has a server forget all that was prepared, after a rollback or a change of a table."""
    assert ASKED.one_or_none(pool, {"word": "one"}) is not None
    with pool.begin() as conn:
        conn.execute(text("DEALLOCATE ALL"))

    told = ASKED.one_or_none(pool, {"word": "two"})
    assert told is not None
    assert told[1] == "two"
    assert ASKED.one_or_none(pool, {"word": "three"}) is not None


def test_a_statement_prepared_since_the_server_forgot_the_others_stays_as_it_is(pool: Engine) -> None:
    """The one that came after them is known to it under a name that no other is given."""
    assert ASKED.one_or_none(pool, {"word": "one"}) is not None
    with pool.begin() as conn:
        conn.execute(text("DEALLOCATE ALL"))
    after = Direct(text("SELECT 'after'"))
    assert after.one_or_none(pool, {}) == ("after",)

    assert ASKED.one_or_none(pool, {"word": "two"}) is not None
    for number in range(10):
        assert Direct(text(f"SELECT {number}")).one_or_none(pool, {}) == (number,)
    assert after.one_or_none(pool, {}) == ("after",)


def test_a_crowd_of_statements_leaves_a_bounded_number_prepared(pool: Engine) -> None:
    for number in range(MOST_PREPARED + 20):
        assert Direct(text(f"SELECT {number}")).one_or_none(pool, {}) == (number,)
    with pool.connect() as conn:
        prepared = "SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'c2a%'"
        assert conn.execute(text(prepared)).scalar_one() == MOST_PREPARED
