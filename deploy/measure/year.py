"""Fills a database with the finished orders of a shop's past year, as fast as PostgreSQL takes them.

A month is a partition, made and filled in one transaction and only then given its indexes: a server that keeps no more
of a log than a crash needs (wal_level minimal) writes such a table once and logs none of it. Attempts, which lie in one
table for all months, go the same way. Keys are as many as a shop still has: those of the past 31 days.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final, LiteralString
from uuid import uuid4

from psycopg import sql

from deploy.measure import copies, database
from deploy.measure.copies import Moments
from deploy.measure.database import Connection
from deploy.stack.postgres import OWNER
from shared.config import Settings
from shared.ids import first_number_at

MONTHS: Final = 12
"""That lie in the table, this one included."""
UNEXAMINED: Final = timedelta(minutes=20)
"""All copies are older than what an examination reads every minute (workers/examiner.py)."""
STEP: Final = 25_000
"""Orders a statement: a second or less, so that progress can be seen."""
FAST: Final[tuple[LiteralString, ...]] = (
    "SET maintenance_work_mem = '1GB'",  # An index of ten million keys is sorted in memory.
    "SET work_mem = '64MB'",
    "SET join_collapse_limit = 1",  # Joined as written: a copy's name is worked out once.
    "SET from_collapse_limit = 1",
    "SET jit = off",
)
_BY_MONTH: Final = ("orders", "order_events")
_MONTHS_AHEAD: Final = "SELECT c2a_add_month((date_trunc('month', now()) + make_interval(months => later))::date, 0)"
_OLD_PARTITIONS: Final = """
    SELECT inhrelid::regclass::text FROM pg_inherits
    WHERE inhparent IN ('orders'::regclass, 'order_events'::regclass)
      AND pg_get_expr((SELECT relpartbound FROM pg_class WHERE oid = inhrelid), inhrelid) <> 'DEFAULT'
"""

Advance = Callable[[int], None]
"""Is told how much more is done."""


@dataclass(frozen=True, slots=True)
class Work:
    """One transaction of a filling. *size*: about how long it takes, in any unit that all of them share."""

    name: str
    size: int
    do: Callable[[Connection, Advance], None]


@dataclass(frozen=True, slots=True)
class Year:
    """*count* orders at even distances over the months up to *now*; numbered from 1, the oldest first."""

    count: int
    now: datetime
    run: str

    @property
    def begins_ms(self) -> int:
        """The first moment of the first month, as milliseconds since 1970."""
        return _ms(self._first_day(0))

    @property
    def span_ms(self) -> int:
        """From there to the last order."""
        return _ms(self.now - UNEXAMINED) - self.begins_ms

    @property
    def moments(self) -> Moments:
        """When the n-th was admitted."""
        ms = sql.SQL("{} + n * {} / {}::bigint").format(self.begins_ms, self.span_ms, self.count)
        return Moments(ms, sql.SQL("o.admitted_at - to_timestamp(ms / 1000.0)"))

    def months(self) -> Iterator[tuple[datetime, datetime, range]]:
        """Each month, from and until when, with the numbers of its orders."""
        for number in range(MONTHS):
            begins, ends = self._first_day(number), self._first_day(number + 1)
            yield begins, ends, range(self.first_since(begins), self.first_since(ends))

    def first_since(self, moment: datetime) -> int:
        """The number of the first order that was not admitted before *moment*; one past the last if there is none."""
        since_ms = _ms(moment) - self.begins_ms
        return min(self.count + 1, max(1, -(-since_ms * self.count // self.span_ms)))

    def _first_day(self, number: int) -> datetime:
        """Of the month of that *number*, from 0."""
        month = self.now.year * 12 + self.now.month - MONTHS + number
        return datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC)


def plan(conn: Connection, template: str, count: int, now: datetime) -> list[Work]:
    """What is to be done to fill the database of *conn* with *count* copies of the order *template*, in the months up
    to *now*; any of it may be done beside any other. The order itself is put aside for it: afterwards there is nothing
    but copies."""
    year = Year(count, now, uuid4().hex[:8])
    with conn.transaction():
        copies.put_aside(conn, template)
        database.empty_orders(conn)
        for partition in conn.execute(_OLD_PARTITIONS).fetchall():
            conn.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(*partition)))
        conn.execute(f"{_MONTHS_AHEAD} FROM generate_series(1, 3) AS later")
    keys = range(year.first_since(year.now - timedelta(days=_keys_kept_days())), count + 1)
    whole = [Work("attempts", 2 * count, partial(_fill_whole, year, "payment_attempts", range(1, count + 1)))]
    months = [
        Work(f"{month[0]:%Y-%m}", 4 * len(month[2]), partial(_fill_month, year, *month)) for month in year.months()
    ]
    return [*whole, *months, Work("keys", len(keys), partial(_fill_whole, year, "idempotency_keys", keys))]


def tables(conn: Connection) -> list[tuple[str, int]]:
    """The tables that hold rows and how many MB each takes, a month's partition by itself; the largest first."""
    rows = conn.execute("""
        SELECT oid::regclass::text, pg_table_size(oid) >> 20 FROM pg_class
        WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 2 DESC
    """)
    return [(name, megabytes) for name, megabytes in rows.fetchall()]


def vacuum(table: str, size: int) -> Work:
    """Leave nothing to be done in *table* that a shop of this age would have done long ago."""

    def do(conn: Connection, advance: Advance) -> None:
        conn.execute(sql.SQL("VACUUM (ANALYZE) {}").format(sql.Identifier(table)))
        advance(size)

    return Work(f"vacuum of {table}", size, do)


def _fill_month(
    year: Year, begins: datetime, ends: datetime, numbers: range, conn: Connection, advance: Advance
) -> None:
    """The orders and events of one month; the partition takes its place once it is full."""
    with conn.transaction():
        for table in _BY_MONTH:
            part = f"{table}_{begins:%Y_%m}"
            conn.execute("SELECT c2a_partition(%s, %s)", [table, part])
            conn.execute(sql.SQL("ALTER TABLE {} OWNER TO {}").format(*map(sql.Identifier, (part, OWNER))))
            _copy(conn, year, table, part, numbers, advance)
        for table in _BY_MONTH:
            conn.execute(
                sql.SQL("ALTER TABLE {} ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})").format(
                    sql.Identifier(table),
                    sql.Identifier(f"{table}_{begins:%Y_%m}"),
                    *map(first_number_at, (begins, ends)),
                )
            )
            advance(len(numbers))


def _fill_whole(year: Year, table: str, numbers: range, conn: Connection, advance: Advance) -> None:
    """The rows of one table that is not parted."""
    with conn.transaction():
        again = list(_stripped(conn, table))
        conn.execute(sql.SQL("TRUNCATE {}").format(sql.Identifier(table)))  # Rewritten here, it is not logged here.
        _copy(conn, year, table, table, numbers, advance)
        for statement in again:
            conn.execute(statement)
            advance(len(numbers) // len(again))


def _stripped(conn: Connection, table: str) -> Iterator[sql.SQL | sql.Composed]:
    """Take its keys and indexes from *table*; the statements that give them back."""
    keys = conn.execute(
        """SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
           WHERE conrelid = %s::regclass AND contype IN ('p', 'u')""",
        [table],
    ).fetchall()
    for name, told in keys:
        names = {"table": sql.Identifier(table), "name": sql.Identifier(name)}
        conn.execute(sql.SQL("ALTER TABLE {table} DROP CONSTRAINT {name}").format(**names))
        yield sql.SQL("ALTER TABLE {table} ADD CONSTRAINT {name} {told}").format(**names, told=sql.SQL(told))
    indexes = conn.execute(
        "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = %s::regclass",
        [table],
    ).fetchall()
    for name, told in indexes:
        conn.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(name)))
        yield sql.SQL(told)


def _copy(conn: Connection, year: Year, table: str, into: str, numbers: Sequence[int], advance: Advance) -> None:
    statement = copies.copying(table, run=year.run, moments=year.moments, into=into)
    for first in range(numbers[0], numbers[-1] + 1, STEP) if numbers else ():
        last = min(numbers[-1], first + STEP - 1)
        conn.execute(statement, [first, last])
        advance(last - first + 1)


def _keys_kept_days() -> int:
    days: int = Settings.model_fields["keys_kept_days"].default
    return days


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
