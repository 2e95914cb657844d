"""Reads on through what happened and makes deliveries of it: nothing is passed over, and fresh events wait for nothing.

Commits become visible in another order than their rows were written, so a reading may not simply go on behind the
newest row it saw: a move that wrote earlier may still be uncommitted. So the place up to which all was read (`read_to`)
moves in two steps. A mark notes a time T, LAG in the past, and a transaction id X given out after T: whatever wrote a
row before T had its id by then, a smaller one. Once no transaction up to X runs any more (pg_snapshot_xmin), every row
up to T that will ever be there can be seen: it is safe to read up to T. What lies behind is told as soon as it is seen;
that it is seen again until then costs a look into the deliveries, whose key lets each be made once.

A reading takes a slice of time, so that no statement grows with what waits. Whoever is further behind than a slice (a
night without upkeep, a transaction that runs for an hour) reads the newest slice as well.

All that reckons with a clock that only goes forward. A database that takes over from another may be behind it: so now
and then a slice is read that lies before the place, BACK at most.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ARRAY, Connection, Engine, Interval, Text, bindparam, text

from shared.ids import first_number_at
from shared.store import telling
from shared.store.telling import BACK, PAGE

LAG: Final = timedelta(seconds=5)
"""A statement notes its time before it must have an id; it ends within this time (Settings.statement_timeout_ms)."""
SLICE: Final = timedelta(minutes=1)
"""Of 1,000 moves a second 60,000 rows: a tenth of a second."""
LIVES: Final = timedelta(days=45)
"""An order that moves is nearly always younger (SEPA takes 14 days). Who keeps up with the time leaves older partitions
to the slices that lie before the place: what moves there is told half a minute later."""
LOCK: Final = 0xC2AF
"""Any number nobody else takes (tests/unit/test_lock_numbers.py)."""

_BEGIN: Final = text("""
    SELECT least(min(read_to), clock_timestamp() - CAST(:lag AS interval)) AS place, clock_timestamp() AS now,
           pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS horizon,
           min(read_to) < clock_timestamp() - 2 * CAST(:lag AS interval) AS is_behind,
           array_agg(endpoint_id) AS listening,
           CASE WHEN count(*) > 0 THEN pg_try_advisory_xact_lock(:lock) END AS is_alone
    FROM event_endpoints WHERE state <> 'removed'
""").bindparams(bindparam("lag", type_=Interval))
_MARK: Final = text("""
    SELECT clock_timestamp() - CAST(:lag AS interval) AS at, pg_current_xact_id()::text::bigint AS xid
""").bindparams(bindparam("lag", type_=Interval))
_READ_TO: Final = text("""
    UPDATE event_endpoints SET read_to = :at WHERE endpoint_id = ANY (:listening) AND read_to < :at
""").bindparams(bindparam("listening", type_=ARRAY(Text)))


@dataclass(frozen=True, slots=True)
class Reading:
    """What one reading did: how many deliveries it made, and whether there is more to read at once."""

    made: int = 0
    has_more: bool = False


@dataclass(frozen=True, slots=True)
class _Mark:
    at: datetime
    xid: int


class Reader:
    """What one process knows from reading to reading. Of several processes one reads at a time."""

    def __init__(self, engine: Engine, *, lag: timedelta = LAG) -> None:
        self._engine = engine
        self._lag = lag
        self._mark: _Mark | None = None
        self._safe: datetime | None = None
        self._slices_back = 0
        self._went_back = False

    def read(self, *, back: bool = False) -> Reading:
        """Make deliveries of what is new, unless somebody else does; *back*: of a slice before the place as well."""
        with self._engine.begin() as conn:
            begun = conn.execute(_BEGIN, {"lag": self._lag, "lock": LOCK}).one()
            if not begun.is_alone:
                return Reading()
            self._reach_mark(begun.horizon)
            ends_at = begun.place + SLICE
            is_newest = ends_at >= begun.now
            others = telling.others(conn)
            found = _fresh(conn, begun.place, None if is_newest else ends_at, every_partition=not is_newest)
            is_read = len(found) < PAGE
            if not is_newest:
                found += _fresh(conn, begun.now - SLICE, None)
            if back or not self._went_back:
                found += self._fresh_before(conn, begun.place)
            made = telling.deliver(conn, found, others)  # Before the place moves: it counts from there how old is old.
            moved_on = is_read and self._went_back and self._move_on(conn, begun, ends_at)
            if self._mark is None and begun.is_behind:
                row = conn.execute(_MARK, {"lag": self._lag}).one()
                self._mark = _Mark(row.at, row.xid)
            return Reading(made, len(found) >= PAGE or len(others) >= PAGE or (moved_on and not is_newest))

    def _reach_mark(self, horizon: int) -> None:
        if self._mark is not None and horizon > self._mark.xid:
            self._safe, self._mark = self._mark.at, None

    def _move_on(self, conn: Connection, begun: Any, ends_at: datetime) -> bool:
        """Note up to where all was read: to the end of the slice, as far as that is safe; whether the place moved.

        Only that of endpoints which this reading knew: one that was added meanwhile was not read for.
        """
        if self._safe is None or self._safe <= begun.place:
            return False
        conn.execute(_READ_TO, {"at": min(self._safe, ends_at), "listening": begun.listening})
        return True

    def _fresh_before(self, conn: Connection, place: datetime) -> list[telling.OrderName]:
        """Of the next slice before *place*, in every partition; at first of all of them, before the place moves: nobody
        knows how far whoever read before this process had come with them."""
        found: list[telling.OrderName] = []
        for _ in range(1 if self._went_back else BACK // SLICE):
            ends_at = place - self._slices_back * SLICE
            some = _fresh(conn, ends_at - SLICE, ends_at, every_partition=True)
            found += some
            if len(some) >= PAGE:
                return found
            self._slices_back = (self._slices_back + 1) % (BACK // SLICE)
        self._went_back = True
        return found


def _fresh(
    conn: Connection, since: datetime, ends_at: datetime | None, *, every_partition: bool = False
) -> list[telling.OrderName]:
    oldest = "" if every_partition else first_number_at(since - LIVES)
    return telling.fresh(conn, since, ends_at, oldest=oldest)
