"""What the bench asks of PostgreSQL beside the product: counts, clocks, and empty tables."""

from __future__ import annotations

from typing import Any, Final, LiteralString

import psycopg
from psycopg import sql

from shared.store.tables import metadata

KEPT: Final = frozenset({"tenants", "api_keys", "psp_accounts", "catalogue", "customers", "offers"})
"""Who sells what to whom; every other table of the product holds what became of orders."""
LEFT: Final = sql.SQL("SELECT count(*) FROM orders WHERE due_at IS NOT NULL")
"""Orders that have not ended, by the index the rescuer has of them."""

TRIES: Final = 5
"""Each may take as long as PostgreSQL takes to see a deadlock: a second."""

Connection = psycopg.Connection[Any]


def connected(url: str) -> Connection:
    """A connection on which every statement commits by itself."""
    return psycopg.connect(url, autocommit=True)


def value(conn: Connection, query: LiteralString | sql.SQL | sql.Composed, *values: Any) -> Any:
    """The one value *query* answers."""
    row = conn.execute(query, values or None).fetchone()
    assert row is not None, "asked only what always has an answer"
    return row[0]


def emptied() -> list[str]:
    """The tables that hold orders and what came of them, in the order in which they are locked."""
    return [name for name in metadata.tables if name not in KEPT]


def empty_orders(conn: Connection) -> None:
    """Forget every order and what came of it; statistics are made anew, as a planner that believes in old ones lies.

    The API may be hearing from a PSP of one at this moment, and hold what we wait for while it waits for us.
    """
    tables = [sql.Identifier(name) for name in emptied()]
    for left in reversed(range(TRIES)):
        try:
            conn.execute(sql.SQL("TRUNCATE {}").format(sql.SQL(", ").join(tables)))
        except psycopg.errors.DeadlockDetected:
            if not left:
                raise
        else:
            return


def settled(conn: Connection) -> None:
    """Nothing of what was written before is left to be done: dead rows are gone, pages are written, plans are known."""
    conn.execute("VACUUM ANALYZE")
    conn.execute("CHECKPOINT")


def written_bytes(conn: Connection) -> int:
    """How much write-ahead log there is since the server was made."""
    return int(value(conn, "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"))


def clock(conn: Connection) -> Any:
    """The database's time, by which orders are timed."""
    return value(conn, "SELECT clock_timestamp()")


def left(conn: Connection) -> int:
    """How many orders have not ended."""
    return int(value(conn, LEFT))
