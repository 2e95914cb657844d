"""Is the database away, or is something wrong with what it was asked?

Whoever tries again until it is back must not take a statement that fails every time for a database that will come back.
"""

from __future__ import annotations

from typing import Final

from psycopg.errors import ReadOnlySqlTransaction
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

_OF_THE_SERVER: Final = ("08", "53", "57P", "58")
"""SQLSTATEs of a server in trouble: its connections, its memory, disk or places for clients, an operator who stops it,
its system. Not 57014, a statement over its time, nor 40 and 55, another transaction that was in the way."""


def is_away(error: SQLAlchemyError) -> bool:
    """Whether all that happened is that the database could not be reached, or broke off."""
    match error:
        case PoolTimeout():
            return True
        case OperationalError() | InterfaceError():
            sqlstate = getattr(error.orig, "sqlstate", None)  # A server that is not there has none.
            return error.connection_invalidated or sqlstate is None or sqlstate.startswith(_OF_THE_SERVER)
        case DBAPIError():  # A failover left us on the old side, which takes no writes any more.
            return error.connection_invalidated or isinstance(error.orig, ReadOnlySqlTransaction)
        case _:
            return False
