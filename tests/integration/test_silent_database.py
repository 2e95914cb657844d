"""A PostgreSQL that is stopped, not dead, is away within the time we give it, and is used again when it wakes."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from shared.config import Settings
from shared.store.engine import create_engine, statements
from shared.store.row_security import Role
from tests.support import lateness, stopping

ANSWER_S = 1.5
"""As shipped: a fresh connection is greeted well within it."""
SHORT_S = 0.5


@pytest.fixture(params=Role)
def hasty(settings: Settings, request: pytest.FixtureRequest) -> Iterator[Engine]:
    """As the engine room reaches it, and as the API does, whose statements travel with their tenant."""
    made = create_engine(settings, answer_within_s=ANSWER_S, role=request.param)
    yield made
    made.dispose()


@contextmanager
def stopped(engine: Engine) -> Iterator[None]:
    """The server process behind the engine's one pooled connection, stopped."""
    with statements(engine) as conn:
        pid = conn.execute(text("SELECT pg_backend_pid()")).scalar_one()
    with stopping.stopped(pid):
        yield


def test_a_silent_server_is_away_within_the_time_it_is_given(hasty: Engine) -> None:
    with stopped(hasty):
        started = time.monotonic()
        with pytest.raises(OperationalError) as raised, statements(hasty) as conn:
            conn.execute(text("SELECT 1"))
        assert time.monotonic() - started < ANSWER_S + 10.0  # Nothing else would end it before PATIENT_S, a minute.
    assert raised.value.connection_invalidated


def test_a_server_that_takes_us_in_and_never_greets_us_is_away_within_that_time_too(settings: Settings) -> None:
    """As when it is stopped while we have no connection. psycopg's own connect_timeout knows no less than 2 s."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        engine = create_engine(
            settings.model_copy(update={"database_url": SecretStr(f"postgresql://u:p@127.0.0.1:{port}/x")}),
            answer_within_s=SHORT_S,
        )
        with lateness.watched() as late:
            started = time.monotonic()
            with pytest.raises(OperationalError) as raised, statements(engine):
                pass
            took = time.monotonic() - started
    assert isinstance(raised.value.orig, psycopg.errors.ConnectionTimeout)
    assert took - late.seconds < SHORT_S + 1.0


def test_a_request_waits_less_for_a_database_than_the_contract_gives() -> None:
    assert max(Settings().database_wait_s, Settings().database_answer_s) < 2.0


def test_a_commit_is_not_waited_for_any_longer(hasty: Engine) -> None:
    with hasty.connect() as conn:
        pid = conn.execute(text("SELECT pg_backend_pid()")).scalar_one()
        with stopping.stopped(pid), pytest.raises(OperationalError):
            conn.commit()


def test_the_next_statement_goes_over_a_fresh_connection(hasty: Engine) -> None:
    with stopped(hasty), pytest.raises(OperationalError), statements(hasty) as conn:
        conn.execute(text("SELECT 1"))
    with statements(hasty) as conn:
        assert conn.execute(text("SELECT 1")).scalar_one() == 1


def test_an_answer_that_is_an_error_keeps_its_connection(hasty: Engine) -> None:
    """A deadlock or a time-out the server tells of is an answer: nothing is unclear, nothing is closed. It tells of one
    at once here, so that our own time for an answer is not spent on waiting for it."""
    with statements(hasty) as conn:
        pid = conn.execute(text("SELECT pg_backend_pid()")).scalar_one()
        with pytest.raises(OperationalError) as raised:
            conn.execute(text("DO 'BEGIN RAISE query_canceled; END'"))
        assert isinstance(raised.value.orig, psycopg.errors.QueryCanceled)
        assert not raised.value.connection_invalidated
        assert conn.execute(text("SELECT pg_backend_pid()")).scalar_one() == pid
