"""Refuses a PostgreSQL that says "committed" of what a crash may take back (B8), or whose schema is too old.

Everything accepted rests on the word "committed". Three settings make it cheap and untrue: fsync and
full_page_writes off may lose or tear what was written, synchronous_commit off tells us before it is. In production
such a server is refused at the start; in development it is told, as somebody may want a fast one.
"""

from __future__ import annotations

from typing import Final

import structlog
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from shared.config import Mode, Settings
from shared.store import revision
from shared.store.engine import create_engine, statements

log = structlog.get_logger(__name__)

_UNSAFE: Final = text("""
    SELECT name FROM pg_settings
    WHERE (name, setting) IN (('fsync', 'off'), ('full_page_writes', 'off'), ('synchronous_commit', 'off'))
    ORDER BY name
""")


class UnsafeDatabase(RuntimeError):
    """The database may forget what it said it has, or lacks what this code asks for; the message says what to do."""


def refuse_unsafe(settings: Settings) -> None:
    """Look at the database this process is about to trust. Raises UnsafeDatabase: for settings in production alone,
    for an older schema (revision.py) in either mode.

    One that is away cannot be looked at and is not refused: it may come back, and /readyz says so until then.
    """
    engine = create_engine(settings, answer_within_s=settings.database_answer_s)
    try:
        with statements(engine) as conn:
            unsafe = list(conn.execute(_UNSAFE).scalars())
            is_new_enough = revision.is_there(conn)
    except SQLAlchemyError as error:
        log.warning("database.not_looked_at", error=type(error).__name__)
        return
    finally:
        engine.dispose()
    if not is_new_enough:
        raise UnsafeDatabase("its schema is older than this version needs: run python -m shared.store.migrate first")
    if not unsafe:
        return
    if settings.mode is Mode.PRODUCTION:
        raise UnsafeDatabase(f"PostgreSQL may lose accepted orders: set {', '.join(unsafe)} to on")
    log.warning("database.unsafe", settings=unsafe)
