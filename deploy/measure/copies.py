"""Makes many orders of one, by copying its rows: as many as a table of ten million needs, in minutes.

The order that is copied was made by the product itself in this very run, so every column holds what the product
writes there, also one that is newer than this file. Only what must differ is replaced: names, keys, references and
times. Names follow one rule in all tables, so the copies of one order's rows belong together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from psycopg import sql

from deploy.measure.database import Connection
from deploy.stack import signals
from shared.store.tables import metadata

BATCH: Final = 50_000
"""Orders a statement: a few seconds, so that a stop is heard soon."""
NOW: Final = sql.SQL("interval '0'")
"""The age of copies that are to be as old as their template."""
_KEY: Final = "('copy-' || {run} || '-' || n)"
_OVER: Final[Mapping[str, Mapping[str, str]]] = {
    "orders": {
        "tracking_number": "{name}",
        "correlation_id": _KEY,
        "customer_urn": "'cu.copy.' || n",
        "admitted_at": "t.admitted_at - {age}",
        "changed_at": "t.changed_at - {age}",
        "finished_at": "t.finished_at - {age}",
    },
    "order_events": {"tracking_number": "{name}", "at": "t.at - {age}"},
    "idempotency_keys": {
        "tracking_number": "{name}",
        "key": _KEY,
        "digest": f"sha256(convert_to({_KEY}, 'UTF8'))",
        "created_at": "t.created_at - {age}",
    },
    "payment_attempts": {
        "tracking_number": "{name}",
        "psp_key": f"md5({_KEY}) || substr(md5('of' || {_KEY}), 1, 8)",
        "merchant_reference": _KEY,
        "psp_reference": f"'cp_' || md5('reference' || {_KEY})",
        "started_at": "t.started_at - {age}",
        "asked_at": "t.asked_at - {age}",
        "settled_at": "t.settled_at - {age}",
    },
}
"""By table, what a copy has of its own; {age}: how much older it is than its template."""
_DIGITS: Final = " || ".join(
    f"substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', ((ms >> {shift}) & 31)::int + 1, 1)" for shift in range(45, -1, -5)
)
_NAME: Final = f"'trk_' || {_DIGITS} || upper(substr(md5({_KEY}), 1, 16))"
"""As shared/ids.py names an order: `trk_` and a ULID, here of the milliseconds *ms* and some digits of a digest."""


def over_a_month(count: int) -> sql.Composed:
    """The age of the n-th of *count* finished copies: spread over the past month, the oldest first, and all of them
    past what an examination reads every minute (workers/examiner.py)."""
    age = "(interval '20 minutes' + interval '30 days' * (1 - n::float8 / {count}))"
    return sql.SQL(age).format(count=sql.Literal(count))


def copy(conn: Connection, template: str, count: int, *, run: str, age: sql.Composable = NOW) -> Iterator[int]:
    """Copy the order *template* *count* times; tells after each batch how many there are.

    *run* keeps the names of two calls apart. Raises StopAsked between two batches.
    """
    statements = [_copying(table, run, age) for table in _OVER]
    for first in range(1, count + 1, BATCH):
        signals.check()
        last = min(count, first + BATCH - 1)
        with conn.transaction():
            # Nobody was promised these rows; that their commit is not waited for changes no page of them.
            conn.execute("SET LOCAL synchronous_commit = off")
            for statement in statements:
                conn.execute(statement, [first, last, template])
        yield last


def _copying(table: str, run: str, age: sql.Composable) -> sql.Composed:
    """The statement that copies one order's rows in *table*."""
    columns = [column.name for column in metadata.tables[table].columns]
    given = {"run": sql.Literal(run), "age": age, "name": sql.SQL(_NAME).format(run=sql.Literal(run))}
    sources = [
        sql.SQL(_OVER[table][name]).format(**given) if name in _OVER[table] else sql.SQL("t.") + sql.Identifier(name)
        for name in columns
    ]
    return sql.SQL("""
        INSERT INTO {table} ({columns}) SELECT {sources}
        FROM generate_series(%s::bigint, %s::bigint) AS n, {table} AS t
        JOIN orders AS o USING (tenant_id, tracking_number)
        CROSS JOIN LATERAL (SELECT floor(extract(epoch FROM o.admitted_at - {age}) * 1000)::bigint AS ms) AS moment
        WHERE t.tracking_number = %s
    """).format(
        table=sql.Identifier(table),
        columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
        sources=sql.SQL(", ").join(sources),
        age=age,
    )
