"""Makes many orders of one, by copying its rows: as many as a table of ten million needs, in minutes.

The order that is copied was made by the product itself in this very run, so every column holds what the product
writes there, also one that is newer than this file. Only what must differ is replaced: names, keys, references and
times. Names follow one rule in all tables, so the copies of one order's rows belong together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from psycopg import sql

from deploy.measure.database import Connection
from deploy.stack import signals
from shared.store.tables import metadata


@dataclass(frozen=True, slots=True)
class Moments:
    """When the n-th copy was admitted, as SQL: in milliseconds, and how much older than its template that makes it.

    *ms* may name `n` and the template's order `o`; *age* may name `ms` as well.
    """

    ms: sql.Composable
    age: sql.Composable


NOW: Final = Moments(sql.SQL("floor(extract(epoch FROM o.admitted_at) * 1000)::bigint"), sql.SQL("interval '0'"))
"""Copies as old as their template."""
TABLES: Final = ("orders", "order_events", "payment_attempts", "idempotency_keys")
"""Where rows of a finished order lie."""
_ASIDE: Final = sql.Identifier("bench_template")
"""The schema of what is put aside."""
BATCH: Final = 50_000
"""Orders a statement: a few seconds, so that a stop is heard soon."""
_KEY: Final = "('copy-' || {run} || '-' || copy.n)"
_OWN: Final[Mapping[str, Mapping[str, str]]] = {
    "orders": {
        "tracking_number": "copy.name",
        "correlation_id": _KEY,
        "customer_urn": "'cu.copy.' || copy.n",
        "admitted_at": "t.admitted_at - copy.age",
        "changed_at": "t.changed_at - copy.age",
        "finished_at": "t.finished_at - copy.age",
    },
    "order_events": {"tracking_number": "copy.name", "at": "t.at - copy.age"},
    "idempotency_keys": {
        "tracking_number": "copy.name",
        "key": _KEY,
        "digest": f"sha256(convert_to({_KEY}, 'UTF8'))",
        "created_at": "t.created_at - copy.age",
    },
    "payment_attempts": {
        "tracking_number": "copy.name",
        "psp_key": f"md5({_KEY}) || substr(md5('of' || {_KEY}), 1, 8)",
        "merchant_reference": _KEY,
        "psp_reference": f"'cp_' || md5('reference' || {_KEY})",
        "started_at": "t.started_at - copy.age",
        "asked_at": "t.asked_at - copy.age",
        "settled_at": "t.settled_at - copy.age",
    },
}
"""By table, what a copy has of its own; `copy` is its number n, its name and how much older it is than its template."""
_DIGITS: Final = " || ".join(
    f"substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', ((ms >> {shift}) & 31)::int + 1, 1)" for shift in range(45, -1, -5)
)
_NAME: Final = f"'trk_' || {_DIGITS} || upper(substr(md5({{run}} || '-' || n), 1, 16))"
"""As shared/ids.py names an order: `trk_` and a ULID, here of the milliseconds *ms* and some digits of a digest."""


def copy(conn: Connection, template: str, count: int, *, run: str) -> Iterator[int]:
    """Copy the order *template* *count* times as it is now; tells after each batch how many there are.

    *run* keeps the names of two calls apart. Raises StopAsked between two batches.
    """
    put_aside(conn, template)
    statements = [copying(table, run=run) for table in TABLES]
    for first in range(1, count + 1, BATCH):
        signals.check()
        last = min(count, first + BATCH - 1)
        with conn.transaction():
            # Nobody was promised these rows; that their commit is not waited for changes no page of them.
            conn.execute("SET LOCAL synchronous_commit = off")
            for statement in statements:
                conn.execute(statement, [first, last])
        yield last
    forget(conn)


def put_aside(conn: Connection, template: str) -> None:
    """Keep the rows of the order *template* in tables of their own: read for each copy, they must not be looked for
    among what was copied already."""
    forget(conn)
    conn.execute(sql.SQL("CREATE SCHEMA {}").format(_ASIDE))
    for table in TABLES:
        conn.execute(
            sql.SQL("CREATE TABLE {}.{table} AS SELECT * FROM public.{table} WHERE tracking_number = {}").format(
                _ASIDE, template, table=sql.Identifier(table)
            )
        )


def forget(conn: Connection) -> None:
    """Nothing is put aside any more."""
    conn.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(_ASIDE))


def copying(table: str, *, run: str, moments: Moments = NOW, into: str | None = None) -> sql.Composed:
    """The statement that copies the rows of *table* which were put aside, *into* another table if that is named.

    Its values: the first n and the last n.
    """
    columns = [column.name for column in metadata.tables[table].columns]
    given = {"run": sql.Literal(run)}
    sources = [
        sql.SQL(_OWN[table][name]).format(**given) if name in _OWN[table] else sql.SQL("t.") + sql.Identifier(name)
        for name in columns
    ]
    # OFFSET 0 has each part worked out once a copy, in this order, and not once a column or a row of the template's.
    return sql.SQL("""
        INSERT INTO {into} ({columns}) SELECT {sources}
        FROM {schema}.orders AS o
        CROSS JOIN LATERAL (
            SELECT n, {name} AS name, {age} AS age
            FROM generate_series(%s::bigint, %s::bigint) AS n
            CROSS JOIN LATERAL (SELECT {ms} AS ms OFFSET 0) AS moment
            OFFSET 0
        ) AS copy
        CROSS JOIN LATERAL (
            SELECT * FROM {schema}.{table} AS t
            WHERE copy.n > 0
            OFFSET 0
        ) AS t
    """).format(
        into=sql.Identifier(into or table),
        columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
        sources=sql.SQL(", ").join(sources),
        schema=_ASIDE,
        table=sql.Identifier(table),
        name=sql.SQL(_NAME).format(**given),
        ms=moments.ms,
        age=moments.age,
    )
