"""Hears which orders moved, on one connection of the process, for as long as the process lives.

What it hears are numbers (news.py): whoever wants to know more reads the order as its tenant. The connection is lent by
the engine's pool and kept: it is the pool's in all its settings, and leaves a place for another. When it breaks, or
begins, nobody can say what was told meanwhile: then `unsure` is called.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, cast

import psycopg
import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from shared.store.news import CHANNEL, LISTENS, SEPARATOR

log = structlog.get_logger(__name__)

PULSE_S: Final = 5.0
"""A connection is asked for a sign of life as often: one whose server vanished is silent for ever."""
AGAIN_AFTER_S: Final = 0.5
"""How long a server that is away is left alone."""


class Listener:
    """One thread that hears; made and started after a fork, never before."""

    def __init__(self, engine: Engine, hear: Callable[[list[str]], None], unsure: Callable[[], None]) -> None:
        """*hear* is told the numbers of orders that moved; both are called on the listener's thread, and must not
        raise."""
        self._engine, self._hear, self._unsure = engine, hear, unsure
        self._ended = threading.Event()

    def start(self) -> None:
        """Listen from now on."""
        threading.Thread(target=self._work, name="listener", daemon=True).start()

    def end(self) -> None:
        """Stop listening, within PULSE_S."""
        self._ended.set()

    def _work(self) -> None:
        while not self._ended.is_set():
            try:
                with self._connection() as connection:
                    self._unsure()
                    while not self._ended.is_set():
                        self._listen(connection)
            except (SQLAlchemyError, psycopg.Error) as error:
                log.warning("listener.away", error=type(error).__name__)
                self._ended.wait(AGAIN_AFTER_S)
            except Exception:  # No descriptor for a connection, say: who waits is not to go unheard for ever after.
                log.exception("listener.failed")
                self._ended.wait(AGAIN_AFTER_S)

    def _listen(self, connection: psycopg.Connection[Any]) -> None:
        """Hear for a while, then see that the server is still there."""
        for news in connection.notifies(timeout=PULSE_S):
            self._hear(news.payload.split(SEPARATOR))
        connection.execute("SELECT 1")

    @contextmanager
    def _connection(self) -> Iterator[psycopg.Connection[Any]]:
        lent = self._engine.raw_connection()
        connection = cast("psycopg.Connection[Any]", lent.driver_connection)
        lent.detach()
        try:
            connection.autocommit = True
            connection.execute("SELECT pg_advisory_lock_shared(%s)", [LISTENS])
            connection.execute(f"LISTEN {CHANNEL}")
            yield connection
        finally:
            connection.close()
