"""Everything a stack holds or has ever written, as bytes to be scanned (leaks.py).

Files are read as they lie there, so that what was deleted and not yet overwritten counts: PostgreSQL's pages and WAL,
Redis' append-only file, logs, cores. What servers keep compressed or in memory alone is asked for beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, cast

import psycopg
from psycopg import sql
from redis import Redis

from deploy.stack import account
from deploy.stack.home import ROOT
from shared import broker

WINDOW: Final = 32 << 20
"""Bytes of a file that are looked at in one piece: a WAL segment (16 MiB) as a whole."""
OVERLAP: Final = 64 << 10
"""What two pieces of a larger file share: more than any body we accept."""
REDIS_TIMEOUT_S: Final = 10.0


def on_disk(home: Path) -> Iterator[tuple[str, bytes]]:
    """Every file of the stack in *home*, PostgreSQL's wherever they are, and core files of its processes."""
    yield from _files(home, str)
    outside = account.outside(home) / "postgres"  # Its programs lie beside it and are nobody's to write to.
    yield from _files(outside, lambda name: f"postgres/{name}")
    for core in ROOT.glob("core*"):  # Where our processes run.
        if core.is_file():
            yield from _pieces(core, core.name)


def in_redis(name: str, url: str) -> Iterator[tuple[str, bytes]]:
    """The keys and values of the server at *url*, and its slow log."""
    with Redis.from_url(url, socket_timeout=REDIS_TIMEOUT_S) as conn:
        for key in conn.scan_iter(count=1_000):
            yield f"{name}: a key", cast("bytes", key) + b"\n" + _value(conn, cast("bytes", key))
        yield f"{name}: SLOWLOG", repr(conn.slowlog_get(-1)).encode()


def in_broker(url: str) -> Iterator[tuple[str, bytes]]:
    """What the broker at *url* holds, where that is Redis; RabbitMQ's queues lie on its disk, message by message."""
    if broker.is_redis(url):
        yield from in_redis("broker", url)


def in_postgres(dsn: str) -> Iterator[tuple[str, bytes]]:
    """Every row that *dsn*'s role may read, as text, and the statements the server remembers.

    As text because PostgreSQL compresses large values on its pages (pglz, lz4).
    """
    with psycopg.connect(dsn, autocommit=True) as conn:
        for view in ("pg_stat_activity", "pg_stat_statements", "pg_prepared_statements"):
            if _is_there(conn, view):
                yield view, _copied(conn, sql.SQL("SELECT * FROM {}").format(sql.Identifier(view)))
        tables = """SELECT schemaname, tablename FROM pg_tables
                     WHERE schemaname NOT IN ('pg_catalog', 'information_schema')
                     AND has_table_privilege(format('%I.%I', schemaname, tablename), 'SELECT')"""
        for schema, table in conn.execute(tables).fetchall():
            yield f"table {table}", _copied(conn, sql.SQL("SELECT * FROM {}").format(sql.Identifier(schema, table)))


def _files(root: Path, named: Callable[[str], str]) -> Iterator[tuple[str, bytes]]:
    for path in sorted(root.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield from _pieces(path, named(str(path.relative_to(root))))


def _pieces(path: Path, name: str) -> Iterator[tuple[str, bytes]]:
    try:
        with path.open("rb") as file:
            while piece := file.read(WINDOW + OVERLAP):
                yield name, piece
                if len(piece) < WINDOW + OVERLAP:
                    return
                file.seek(-OVERLAP, 1)
    except FileNotFoundError:
        return  # A server took it away meanwhile.


def _value(conn: Redis, key: bytes) -> bytes:
    match cast("bytes", conn.type(key)):
        case b"string":
            return cast("bytes | None", conn.get(key)) or b""
        case b"list":
            return b"\n".join(cast("list[bytes]", conn.lrange(key, 0, -1)))
        case b"hash":
            return b"\n".join(part for pair in cast("dict[bytes, bytes]", conn.hgetall(key)).items() for part in pair)
        case b"set":
            return b"\n".join(cast("set[bytes]", conn.smembers(key)))
        case b"zset":
            return b"\n".join(cast("list[bytes]", conn.zrange(key, 0, -1)))
        case b"none":
            return b""  # It ran out meanwhile.
        case kind:
            raise ValueError(f"no way to read a Redis {kind!r} yet: add one, or the scan does not see it")


def _is_there(conn: psycopg.Connection[Any], relation: str) -> bool:
    found = conn.execute("SELECT to_regclass(%s) IS NOT NULL", [relation]).fetchone()
    return found is not None and bool(found[0])


def _copied(conn: psycopg.Connection[Any], query: sql.Composed) -> bytes:
    with conn.cursor().copy(sql.SQL("COPY ({}) TO STDOUT").format(query)) as rows:
        return b"".join(map(bytes, rows))
