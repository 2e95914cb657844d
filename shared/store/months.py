"""Makes the partitions of the months to come, and drops those of months long past.

Orders and their events lie in partitions by the month inside their number (migration 0010). Of this month and the
next three each has its own before its first order comes. Should upkeep have been away for longer, or a clock be wrong,
an order lies in the DEFAULT partition: late upkeep refuses nobody. What lies there of a month is moved when that month
gets its partition, so that it never has to be split later; while it is empty, as it should be, PostgreSQL has nothing
to read of it for that. (Refusing to be late instead would refuse orders: of a machine whose clock is years off, and of
an installation that was asleep.)

A month that is old enough goes as a whole, its rows unread, unless one of its orders is not finished, money of one is
out, or one moved since: then all of it stays, and the log says for whose sake (migration 0013). The functions that do
both are the owner's, who alone may; they wait for their locks for 0.4 s and else leave it to the next time.
"""

from __future__ import annotations

from datetime import date
from typing import Final

import structlog
from psycopg.errors import DeadlockDetected, LockNotAvailable
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

from shared.store.engine import statements

log = structlog.get_logger(__name__)

AHEAD: Final = 3
"""Months after this one that have their partition: upkeep may be away for a quarter of a year."""
MOVED_AT_MOST: Final = 50_000
"""Rows that are moved out of the default partitions while whoever looks through all of them waits: half a second."""
LOCK: Final = 0xC2AE
"""Any number nobody else takes (tests/unit/test_lock_numbers.py): one process at a time does this."""

_MISSING: Final = text("""
    SELECT month::date FROM generate_series(
        date_trunc('month', now() AT TIME ZONE 'UTC'),
        date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => :ahead), '1 month') AS month
    WHERE to_regclass('orders_' || to_char(month, 'YYYY_MM')) IS NULL AND to_char(month, 'YYYY_MM') >= coalesce((
        SELECT right(relname, 7) FROM pg_inherits JOIN pg_class ON oid = inhrelid
        WHERE inhparent = 'orders'::regclass AND relname ~ '^orders_before_'), '')
    ORDER BY month
""")

_OLD: Final = text(r"""
    SELECT relname FROM pg_inherits JOIN pg_class ON oid = inhrelid
    WHERE inhparent = 'orders'::regclass
      AND substring(pg_get_expr(relpartbound, oid) FROM 'TO \(''(trk_[0-9A-Z]{26})''\)')
          <= c2a_first_number(now() - make_interval(months => :months))
    ORDER BY right(relname, 7)
""")

_ALONE: Final = text("SELECT pg_try_advisory_xact_lock(:lock)")
_ADD: Final = text("SELECT c2a_add_month(:month, :most)")
_DROP: Final = text("SELECT kept_for, example FROM c2a_drop_month(:partition, :months)")


def missing(conn: Connection) -> list[date]:
    """The first days of this month and the next, as far as they should have a partition and have none."""
    return list(conn.execute(_MISSING, {"ahead": AHEAD}).scalars())


def make(engine: Engine, *, most: int = MOVED_AT_MOST) -> list[date]:
    """Give each of the months to come its partition; those that got one. Reads the catalogue alone where all have.

    *most*: rows that may be moved there from a default partition, for one month.
    """
    with statements(engine) as conn:
        wanted = missing(conn)
    return [month for month in wanted if _made(engine, month, most)]


def _made(engine: Engine, month: date, most: int) -> bool:
    with engine.begin() as conn:
        if not _is_alone(conn) or month not in missing(conn):
            return False
        moved = _or_in_the_way(conn, month, most)
    if moved is None:
        return False
    log.info("months.made", month=f"{month:%Y-%m}", moved=moved)
    return True


def _or_in_the_way(conn: Connection, month: date, most: int) -> int | None:
    """How many rows were moved into the partitions of *month*; None if they could not be made now."""
    try:
        moved: int | None = conn.execute(_ADD, {"month": month, "most": most}).scalar_one()
    except OperationalError as error:
        _tell_who_waits(error, f"{month:%Y-%m}")
        return None
    if moved is None:
        # Whoever moves them stops the others meanwhile: for an operator to choose the hour.
        log.error("months.too_many_in_default", month=f"{month:%Y-%m}", more_than=most)
    return moved


def drop_old(engine: Engine, *, months: int) -> list[str]:
    """Drop the partitions that ended *months* or more ago, those of events as well; the names of those of orders."""
    with statements(engine) as conn:
        old = list(conn.execute(_OLD, {"months": months}).scalars())
    return [partition for partition in old if _dropped(engine, partition, months)]


def _dropped(engine: Engine, partition: str, months: int) -> bool:
    with engine.begin() as conn:
        if not _is_alone(conn):
            return False
        try:
            kept = conn.execute(_DROP, {"partition": partition, "months": months}).one_or_none()
        except OperationalError as error:
            _tell_who_waits(error, partition)
            return False
    if kept is not None:
        log.warning("months.kept_back", partition=partition, why=kept.kept_for, tracking_number=kept.example)
        return False
    log.info("months.dropped", partition=partition)
    return True


def _is_alone(conn: Connection) -> bool:
    return bool(conn.execute(_ALONE, {"lock": LOCK}).scalar_one())


def _tell_who_waits(error: OperationalError, what: str) -> None:
    """Raises *error* unless it is that somebody was in the way."""
    if not isinstance(error.orig, (LockNotAvailable, DeadlockDetected)):
        raise error
    log.info("months.wait", what=what)
