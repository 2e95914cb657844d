"""Brings a database to the schema this code needs: `python -m shared.store.migrate`.

Migrations are Alembic's, in shared/store/migrations. They run under an advisory lock, so that two starting
processes do not meet, and under a lock timeout: a migration that queues behind a long transaction (a backup, a
report) stops everybody behind itself. So it waits for a moment only, lets them pass, and tries again.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import structlog
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg.errors import DeadlockDetected, LockNotAvailable
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

from shared.config import Settings
from shared.store import months
from shared.store.engine import create_engine

log = structlog.get_logger(__name__)

T = TypeVar("T")

MIGRATION_LOCK: Final = 0xC2A
"""Any number nobody else takes: one migration at a time in a database."""
LOCK_TIMEOUT_MS: Final = 400
"""Whoever comes after a migration that waits for its lock waits as well: well below what a request waits for an answer
(shared/config.py: 1.5 s), so that nobody hears 503 for it."""
IN_THE_WAY: Final = (LockNotAvailable, DeadlockDetected)
"""Somebody holds what the migration needs, or each holds what the other needs."""
WITHIN_S: Final = 3_600.0
"""How long one statement may take: an index of a large table, the proof of a constraint. Also how long another
migration is waited for."""
TRIES: Final = 40
PAUSE_S: Final = (1.0, 2.0)
"""Between two tries, at random: those who waited catch up. All tries take a minute; whoever works longer than that in
one transaction is to be ended, or waited for, by an operator."""


def config(conn: Connection) -> Config:
    """Alembic's configuration for *conn*."""
    made = Config()
    made.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    made.attributes["connection"] = conn
    return made


def upgrade(engine: Engine) -> None:
    """Upgrade the database of *engine* to head; does nothing if it is there. Raises what `gently` raises.

    A revision a transaction: so the next one may take its time under a lock that hurts nobody (proving a constraint)
    without the short but exclusive one of the last. What was cut short goes on where it stopped. Then the months to
    come get their partitions: an installation that slept for long does not wait for its upkeep.
    """
    while gently(engine, _next_revision):
        pass
    months.make(engine)


def _next_revision(conn: Connection) -> bool:
    """Upgrade by one revision; False if there is none to come."""
    to_run = config(conn)
    if (
        MigrationContext.configure(conn).get_current_revision()
        == ScriptDirectory.from_config(to_run).get_current_head()
    ):
        return False
    command.upgrade(to_run, "+1")
    return True


def gently(engine: Engine, change: Callable[[Connection], T], *, tries: int = TRIES) -> T:
    """Make *change* to the schema, in one transaction, while orders flow; what *change* returned.

    Raises OperationalError (one of IN_THE_WAY) if somebody was in its way at every try; nothing was changed then.
    """
    for tries_left in reversed(range(tries)):
        try:
            with engine.begin() as conn:
                conn.execute(text("SET LOCAL statement_timeout = 0"))
                conn.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
                conn.execute(text(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}"))
                return change(conn)
        except OperationalError as error:
            if not isinstance(error.orig, IN_THE_WAY) or not tries_left:
                raise
            log.info("migration.waits", tries_left=tries_left)
            time.sleep(random.uniform(*PAUSE_S))  # noqa: S311 - no secret
    raise AssertionError("the last try returns or raises")


if __name__ == "__main__":
    upgrade(create_engine(Settings(), answer_within_s=WITHIN_S))
