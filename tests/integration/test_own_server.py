"""An operator's own PostgreSQL: what the migration makes there, and what it says where it may not (README)."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, OperationalError

from deploy.stack import account, ports, postgres
from deploy.stack.home import Home
from deploy.stack.program import spawn, stop
from deploy.stack.waiting import until
from shared.config import Settings
from shared.store import migrate
from shared.store.engine import create_engine, statements
from shared.store.row_security import Role
from tests.support.own_postgres import READY_WITHIN_S


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A superuser's way into a cluster that knows nothing of us."""
    with tempfile.TemporaryDirectory(prefix="c2a-bare-postgres-") as folder:
        home = Home(Path(folder)).make()
        cluster = postgres.prepare(home, port=ports.kept(home, "postgres"))
        program = postgres.program(cluster, home)
        process = spawn(program)
        try:
            until(program.is_ready, "the bare PostgreSQL answers", within_s=READY_WITHIN_S)
            yield cluster.url()
        finally:
            stop(process, program)
            account.forget(home.path)


def a_login(server: str, name: str, attributes: str = "", database: str | None = None) -> Settings:
    """Settings of a new login; it owns *database*, a new one of its own name unless told otherwise."""
    with psycopg.connect(server, autocommit=True) as conn:
        conn.execute(sql.SQL(f"CREATE ROLE {{}} LOGIN PASSWORD 'x' {attributes}").format(sql.Identifier(name)))
        if database is None:
            conn.execute(sql.SQL("CREATE DATABASE {0} OWNER {0}").format(sql.Identifier(name)))
    url = make_url(server).set(username=name, password="x", database=database or name)
    return Settings.model_validate({"DATABASE_URL": SecretStr(url.render_as_string(hide_password=False))})


def migrated(settings: Settings) -> None:
    """Run the migrations."""
    engine = create_engine(settings)
    try:
        migrate.upgrade(engine)
    finally:
        engine.dispose()


def who(settings: Settings, role: Role | None) -> str:
    """Whom PostgreSQL takes a process for."""
    engine = create_engine(settings, role=role)
    try:
        with statements(engine) as conn:
            conn.execute(text("SELECT FROM orders"))
            return str(conn.execute(text("SELECT current_user")).scalar_one())
    finally:
        engine.dispose()


def test_where_the_login_may_not_make_roles_the_migration_says_what_an_administrator_must_do(server: str) -> None:
    settings = a_login(server, "plain")

    with pytest.raises(DBAPIError, match="the roles c2a_api and c2a_engine_room are missing") as refused:
        migrated(settings)
    hint = str(getattr(refused.value.orig, "diag").message_hint)  # noqa: B009
    statement, _, then = hint.removeprefix("As a superuser: ").partition("; then")
    assert then == " migrate again."
    with psycopg.connect(server, autocommit=True) as conn:
        conn.execute(statement)

    migrated(settings)
    assert [who(settings, role) for role in (None, *Role)] == ["plain", *Role]


def test_a_login_that_may_make_roles_needs_nobody_and_a_second_database_of_the_server_neither(server: str) -> None:
    with psycopg.connect(server, autocommit=True) as conn:
        conn.execute("DROP OWNED BY c2a_api, c2a_engine_room")
        conn.execute("DROP DATABASE IF EXISTS plain")
        conn.execute("DROP ROLE IF EXISTS c2a_api, c2a_engine_room")
    settings = a_login(server, "maker", "CREATEROLE")

    for _ in range(2):
        migrated(settings)
    assert [who(settings, role) for role in (None, *Role)] == ["maker", *Role]


def test_each_process_may_have_a_login_of_its_own(server: str) -> None:
    """Neither owns anything; a login that is not a member of its role is not let in."""
    door = a_login(server, "door", "IN ROLE c2a_api", database="maker")
    room = a_login(server, "room", "IN ROLE c2a_engine_room", database="maker")

    assert who(door, Role.API) == Role.API
    assert who(room, Role.ENGINE_ROOM) == Role.ENGINE_ROOM
    with pytest.raises(OperationalError):
        who(door, Role.ENGINE_ROOM)
