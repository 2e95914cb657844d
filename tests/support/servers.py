"""Real servers for the tests: one PostgreSQL and two Redis a session, a fresh database a test module.

The starters are those of deploy/up, so a test runs on what a developer's stack runs on. A developer's own
DATABASE_URL is not looked at: tests empty what they use.
"""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psycopg
import redis
from psycopg import sql
from pydantic import SecretStr

from deploy.stack import servers
from deploy.stack.home import Home
from deploy.stack.postgres import OWNER, Postgres
from shared.config import Settings
from shared.store import migrate
from shared.store.engine import create_engine

TEMPLATE: Final = "migrated"
"""A database at the newest schema, migrated once a session and copied for every module: a copy takes 0.1 s."""


@dataclass(frozen=True, slots=True)
class TestServers:
    """The servers of this test session."""

    __test__ = False  # A helper, not a test class.

    cluster: Postgres
    broker_url: str = field(repr=False)
    vault_url: str = field(repr=False)
    _counter: Iterator[int] = field(default_factory=itertools.count)

    def fresh_database(self) -> str:
        """A new database at the newest schema; its URL, as the product's own role."""
        name = f"test_{next(self._counter)}"
        make_database(self.cluster, name, template=TEMPLATE)
        return self.cluster.url(user=OWNER, database=name)


@contextmanager
def running() -> Iterator[TestServers]:
    """The servers of one session, gone with all their data at its end."""
    folder = Path(tempfile.mkdtemp(prefix="c2a-test-"))
    try:
        with servers.running(Home(folder)) as started:
            assert started.postgres is not None
            make_database(started.postgres, TEMPLATE, template="template0")
            migrated = create_engine(settings_for(started.postgres.url(user=OWNER, database=TEMPLATE), started))
            migrate.upgrade(migrated)
            migrated.dispose()  # A database with a connection open cannot be copied.
            yield TestServers(started.postgres, started.broker_url, started.vault_url)
    finally:
        shutil.rmtree(folder)


def make_database(cluster: Postgres, name: str, *, template: str) -> None:
    """Create the database *name* as a copy of *template*."""
    with psycopg.connect(cluster.url(), autocommit=True) as conn:
        conn.execute(
            sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}").format(*map(sql.Identifier, (name, OWNER, template)))
        )


def settings_for(database_url: str, of: servers.Servers | TestServers) -> Settings:
    """The product's settings on *database_url* and the Redis servers of *of*; the rest as shipped."""
    return Settings.model_validate(
        {
            "DATABASE_URL": SecretStr(database_url),
            "BROKER_URL": SecretStr(of.broker_url),
            "VAULT_URL": SecretStr(of.vault_url),
        }
    )


def emptied(url: str) -> str:
    """*url*, after everything in that Redis is gone."""
    with redis.Redis.from_url(url) as conn:
        conn.flushall()
    return url
