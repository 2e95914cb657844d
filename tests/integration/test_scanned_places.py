"""The leak scan sees all that a server holds: every kind of Redis value, deleted rows, large values, the slow log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import psycopg
import pytest
from redis import Redis

from deploy.crashtest import places
from deploy.crashtest.canaries import number
from deploy.crashtest.leaks import leaks
from tests.support.own_postgres import own_postgres
from tests.support.own_redis import OwnRedis, own_redis
from tests.support.psp import until

KINDS: Final[dict[str, Callable[[Redis, str], object]]] = {
    "key": lambda conn, canary: conn.set(f"k:{canary}", "x"),
    "string": lambda conn, canary: conn.set("s", canary),
    "list": lambda conn, canary: conn.rpush("l", "x", canary),
    "hash field": lambda conn, canary: conn.hset("f", canary, "x"),
    "hash value": lambda conn, canary: conn.hset("h", "x", canary),
    "set": lambda conn, canary: conn.sadd("t", "x", canary),
    "sorted set": lambda conn, canary: conn.zadd("z", {canary: 1.0}),
}


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnRedis]:
    with own_redis(tmp_path_factory.mktemp("scanned")) as running:
        yield running


@pytest.mark.parametrize("kind", KINDS)
def test_a_card_in_a_redis_value_of_any_kind_is_seen(broker: OwnRedis, kind: str) -> None:
    canary = number()
    with broker.client() as conn:
        conn.flushall()
        KINDS[kind](conn, canary)
    assert {found.about for found in leaks(places.in_redis("broker", broker.url), [canary])} == {"broker: a key"}


def test_a_card_in_the_slow_log_is_seen(broker: OwnRedis) -> None:
    canary = number()
    with broker.client() as conn:
        conn.config_set("slowlog-log-slower-than", 0)
        conn.get(canary)
        conn.config_set("slowlog-log-slower-than", -1)
        conn.flushall()
    assert [found.about for found in leaks(places.in_redis("broker", broker.url), [canary])] == ["broker: SLOWLOG"]


def test_a_card_that_redis_has_forgotten_is_seen_in_its_append_only_file(broker: OwnRedis) -> None:
    canary = number()
    with broker.client() as conn:
        conn.set("gone", canary)
        conn.delete("gone")
    files = broker.program.cwd.parent

    def is_seen() -> bool:
        return any("appendonly" in found.about for found in leaks(places.on_disk(files), [canary]))

    until(is_seen, seconds=10)  # Redis puts off its write for up to two seconds while the disk is busy with the last.


def test_a_card_in_a_row_is_seen_also_where_the_page_holds_it_compressed(postgres_url: str) -> None:
    canary = number()
    with psycopg.connect(postgres_url, autocommit=True) as conn:
        conn.execute("CREATE TABLE notes AS SELECT repeat('a long note ', 5000) || %s || repeat('x', 5000)", [canary])
    assert [found.about for found in leaks(places.in_postgres(postgres_url), [canary])] == ["table notes"]


def test_a_card_in_a_deleted_row_is_seen_in_the_log_of_changes() -> None:
    canary = number()
    with own_postgres() as server:  # The tests' own has gigabytes by now.
        with psycopg.connect(server.url, autocommit=True) as conn:
            conn.execute("CREATE TABLE slips (card text)")
            conn.execute("INSERT INTO slips VALUES (%s)", [canary])
            conn.execute("DROP TABLE slips")
        found = {found.about for found in leaks(places.on_disk(server.cluster.folder), [canary])}
    assert any("pg_wal" in place for place in found)


@pytest.mark.parametrize("at", [0, 90, 100, 155, 163, 300])
def test_a_card_that_two_pieces_of_a_large_file_share_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    monkeypatch.setattr(places, "WINDOW", 100)
    monkeypatch.setattr(places, "OVERLAP", 64)
    canary = number()
    (tmp_path / "large.log").write_bytes(b"." * at + canary.encode() + b"." * 200)
    assert {found.about for found in leaks(places.on_disk(tmp_path), [canary])} == {"large.log"}
