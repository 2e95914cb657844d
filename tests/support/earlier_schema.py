"""A database as an earlier version of ours left it: at an older revision of the schema, with rows of its time."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from alembic import command
from sqlalchemy import Engine, event

from deploy.stack.postgres import OWNER
from shared.config import Settings
from shared.store import migrate
from shared.store.engine import create_engine
from tests.support.servers import TestServers, make_database, settings_for

_COUNTER: Final = itertools.count()


@dataclass(frozen=True, slots=True)
class EarlierSchema:
    """A database, its settings and its owner's way to it."""

    settings: Settings
    engine: Engine
    notices: list[str]
    """What PostgreSQL told of its own accord, on every connection of the owner's made since `listen`."""

    def bring_to(self, revision: str) -> None:
        """Upgrade to *revision*, all in one transaction."""
        migrate.gently(self.engine, lambda conn: command.upgrade(migrate.config(conn), revision))

    def take_back_to(self, revision: str) -> None:
        """Downgrade to *revision*."""
        migrate.gently(self.engine, lambda conn: command.downgrade(migrate.config(conn), revision))

    def listen(self) -> None:
        """Have PostgreSQL tell why it does what it does; needs new connections."""
        self.engine.dispose()

        @event.listens_for(self.engine, "connect")
        def _tell(connection: Any, _record: Any) -> None:
            connection.add_notice_handler(lambda told: self.notices.append(told.message_primary or ""))
            connection.execute("SET client_min_messages = debug1")
            connection.commit()


@contextmanager
def at_revision(servers: TestServers, revision: str) -> Iterator[EarlierSchema]:
    """A database of its own at *revision*, without rows."""
    name = f"earlier_{next(_COUNTER)}"
    make_database(servers.cluster, name, template="template0")
    settings = settings_for(servers.cluster.url(user=OWNER, database=name), servers)
    engine = create_engine(settings)
    made = EarlierSchema(settings, engine, [])
    made.bring_to(revision)
    yield made
    engine.dispose()
