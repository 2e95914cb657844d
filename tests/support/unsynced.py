"""A database whose commits nobody waits for: the disk of a full machine is no part of what a test measures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql


@contextmanager
def unsynced(url: str) -> Iterator[None]:
    """Whoever connects to the database of *url* within gets commits that are not waited for."""
    named = sql.Identifier(url.rsplit("/", 1)[1])
    alter = sql.SQL("ALTER DATABASE {} {} synchronous_commit {}")
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(alter.format(named, sql.SQL("SET"), sql.SQL("= off")))
        try:
            yield
        finally:
            conn.execute(alter.format(named, sql.SQL("RESET"), sql.SQL("")))
