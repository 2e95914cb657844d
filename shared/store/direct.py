"""Runs a statement straight on psycopg: for the few of which every order and every poll is made.

SQLAlchemy's way to a statement costs 130 microseconds of processor time more than psycopg's own, half of what either
of them takes in all. The text is still SQLAlchemy's, compiled once, with the types it was given; pool, connection
and errors are the engine's, so that a caller sees one kind of failure: DBAPIError, and after a broken connection
(`connection_invalidated`) no other of the pool that is as old is used again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import Engine
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql import ClauseElement

from shared.store.fair_pool import FairPool


class Direct:
    """One statement, in autocommit: the statement is the transaction."""

    def __init__(self, statement: ClauseElement) -> None:
        """Compile *statement*; its values go to psycopg as they are given to `one_or_none`, with those of its own."""
        compiled = statement.compile(dialect=PGDialect_psycopg())  # type: ignore[no-untyped-call]
        self._text = str(compiled)
        self._own = {name: value for name, value in compiled.params.items() if value is not None}

    def one_or_none(self, engine: Engine, values: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """The first row it answers with *values*, None if it answers none. Raises DBAPIError or the pool's timeout."""
        try:
            lent = engine.raw_connection()
        except psycopg.Error as error:  # The engine itself would say it in its own words, its raw connections do not.
            raise _engines(error, broken=False) from error
        try:
            return _first(
                cast("psycopg.Connection[Any]", lent.driver_connection),
                *_heard(engine, self._text, self._own | dict(values)),
            )
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


def _first(connection: psycopg.Connection[Any], statement: str, values: Mapping[str, Any]) -> tuple[Any, ...] | None:
    connection.autocommit = True
    try:
        row: tuple[Any, ...] | None = connection.execute(statement, values).fetchone()
    except psycopg.Error:
        _put_back(connection)
        raise
    _put_back(connection)
    return row


def _put_back(connection: psycopg.Connection[Any]) -> None:
    """As the pool lends it: else `begin()` would begin nothing. One that is not at rest is closed: a server that goes
    down says so before the end of its connections can be seen."""
    if connection.pgconn.transaction_status == TransactionStatus.IDLE:
        connection.autocommit = False
    else:
        connection.close()
