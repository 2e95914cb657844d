"""Runs statements straight on psycopg: those of which every order and every poll is made.

SQLAlchemy's way to a statement costs 130 microseconds of processor time more than psycopg's own, half of what either
of them takes in all, and to build one of our larger statements anew costs a millisecond. So it is built and compiled
once, but for the month of the order it names (month_bounds.py). The text is still SQLAlchemy's, with the types it was
given; pool, connection and errors are the engine's, so that a caller sees one kind of failure: DBAPIError, and after a
broken connection (`connection_invalidated`) no other of the pool that is as old is used again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias, cast

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection, Engine
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql import ClauseElement

from shared.store import month_bounds, one_trip
from shared.store.fair_pool import FairPool

At: TypeAlias = Engine | Connection
"""Where a statement runs: on an engine it is a transaction of its own; on a connection, a part of its caller's."""


class Direct:
    """One statement, compiled once."""

    def __init__(self, statement: ClauseElement) -> None:
        """Compile *statement*; its values go to psycopg as they are given to a run, with those of its own."""
        compiled = statement.compile(dialect=PGDialect_psycopg())  # type: ignore[no-untyped-call]
        self._text_for = month_bounds.filler(str(compiled))
        self._own = {name: value for name, value in compiled.params.items() if value is not None}

    def one_or_none(self, at: At, values: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """The first row it answers with *values*, None if it answers none. Raises DBAPIError or the pool's timeout."""
        return next(iter(self.all(at, values)), None)

    def all(self, at: At, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """The rows it answers with *values*. Raises as `one_or_none` does."""
        given = self._own | dict(values)
        if isinstance(at, Connection):
            result = at.exec_driver_sql(self._text_for(given), given)
            return list(result) if result.returns_rows else []
        with _lent(at) as connection:
            return one_trip.rows(connection, *_heard(at, self._text_for(given), given))


@contextmanager
def _lent(engine: Engine) -> Iterator[psycopg.Connection[Any]]:
    """A connection of the pool of *engine*; what goes wrong with it is said as the engine would."""
    try:
        lent = engine.raw_connection()
    except psycopg.Error as error:  # The engine itself would say it in its own words, its raw connections do not.
        raise _engines(error, broken=False) from error
    try:
        connection = cast("psycopg.Connection[Any]", lent.driver_connection)
        try:
            yield connection
        finally:
            if connection.pgconn.transaction_status != TransactionStatus.IDLE:
                # Not at rest: a server that goes down says so before the end of its connections can be seen.
                connection.close()
    except psycopg.Error as error:
        broken = lent.driver_connection is None or bool(lent.driver_connection.closed)
        if broken:
            cast("FairPool", engine.pool).forget(lent, error)
        raise _engines(error, broken=broken) from error
    except BaseException:
        lent.invalidate()  # Cut off in the middle of it: nobody may go on where it stopped.
        raise
    finally:
        lent.close()


def _engines(error: psycopg.Error, *, broken: bool) -> BaseException:
    """*error* as the engine would raise it."""
    return DBAPIError.instance(None, None, error, psycopg.Error, hide_parameters=True, connection_invalidated=broken)


def _heard(engine: Engine, statement: str, values: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """The statement after whoever listens to those of *engine* has heard it, as it hears all others."""
    for listener in engine.dispatch.before_cursor_execute:
        statement, values = listener(None, None, statement, values, None, False)  # noqa: FBT003
    return statement, values
