"""A database that may forget what it said it has is refused in production, and told of elsewhere (B8)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr

from shared import keyring
from shared.config import Mode, Settings
from shared.store.durability import UnsafeDatabase, refuse_unsafe
from tests.support.own_postgres import OwnPostgres, own_postgres
from tests.support.told import told_of


@pytest.fixture(scope="module")
def database() -> Iterator[OwnPostgres]:
    with own_postgres() as running:
        yield running


@pytest.fixture
def production(settings: Settings, database: OwnPostgres, tmp_path: Path) -> Settings:
    keyring.save(keyring.fresh(), tmp_path / "keyring.json")
    named = {"database_url": SecretStr(database.url), "mode": Mode.PRODUCTION, "keyring": tmp_path / "keyring.json"}
    return settings.model_copy(update=named)


@pytest.fixture
def hasty(database: OwnPostgres) -> Iterator[None]:
    """Whoever connects gets commits that are not waited for."""
    alter = sql.SQL("ALTER ROLE CURRENT_USER {} synchronous_commit {}")
    with psycopg.connect(database.url, autocommit=True) as conn:
        conn.execute(alter.format(sql.SQL("SET"), sql.SQL("= off")))
    yield
    with psycopg.connect(database.url, autocommit=True) as conn:
        conn.execute(alter.format(sql.SQL("RESET"), sql.SQL("")))


def test_a_safe_one_is_trusted(production: Settings) -> None:
    with told_of("database") as logs:
        refuse_unsafe(production)
    assert logs == []


@pytest.mark.usefixtures("hasty")
def test_an_unsafe_one_is_refused_by_name_of_its_setting(production: Settings) -> None:
    with pytest.raises(UnsafeDatabase, match="synchronous_commit"):
        refuse_unsafe(production)


@pytest.mark.usefixtures("hasty")
def test_in_development_it_is_told(production: Settings) -> None:
    with told_of("database") as logs:
        refuse_unsafe(production.model_copy(update={"mode": Mode.DEVELOPMENT}))
    assert [(line["event"], line["settings"]) for line in logs] == [("database.unsafe", ["synchronous_commit"])]


def test_one_that_is_away_is_not_judged(production: Settings) -> None:
    nowhere = SecretStr("postgresql://127.0.0.1:9/c2a")
    with told_of("database") as logs:
        refuse_unsafe(production.model_copy(update={"database_url": nowhere}))
    assert [line["event"] for line in logs] == ["database.not_looked_at"]
