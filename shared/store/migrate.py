"""Brings a database to the schema this code needs: `python -m shared.store.migrate`.

Migrations are Alembic's, in shared/store/migrations. They run under an advisory lock, so that two starting
processes do not meet, and under a lock timeout, so that a migration never queues behind a long transaction and
stops everybody behind itself: it fails, and is run again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, text

from shared.config import Settings
from shared.store.engine import create_engine

MIGRATION_LOCK: Final = 0xC2A
"""Any number nobody else takes: one migration at a time in a database."""
LOCK_TIMEOUT_MS: Final = 5_000
"""Orders may wait this long for a migration's lock, not longer."""


def config(conn: Connection) -> Config:
    """Alembic's configuration for *conn*."""
    made = Config()
    made.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    made.attributes["connection"] = conn
    return made


def upgrade(engine: Engine) -> None:
    """Upgrade the database of *engine* to head; does nothing if it is there."""
    with engine.begin() as conn:
        conn.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
        conn.execute(text(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}"))
        conn.execute(text("SET LOCAL statement_timeout = 0"))
        command.upgrade(config(conn), "head")


if __name__ == "__main__":
    upgrade(create_engine(Settings()))
