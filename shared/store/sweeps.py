"""Deletes what is past keeping of the tables that are not partitioned, a slice of a table at a time.

Each look reads the next few hundred pages of a table, wherever it stopped, and deletes what there is too old. So no
index has to be kept for it, which every order would pay for; a look costs the same however large the table and
however much of it is old; and all of it is seen again and again. What is too old may lie there for as long as one way
through the table takes: a day at most, as a large table is looked at more often; up to MOST_LOOKS, so for 700 GB.

An attempt whose order is there is never deleted: the order's partition decides (months.py). One that holds money
without a right to it, or may, stays whatever became of its order. So does what keeps a single-use offer from being sold
again: the hold, until its order is gone and nobody could order the offer any more.
"""

from __future__ import annotations

import math
import secrets
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection, Engine, TextClause, text

from shared.store.engine import statements

PAGES: Final = 256
"""Read a look: 2 MB, some five thousand rows, a few milliseconds; 3 GB a day at one look a minute."""
ROUNDS_A_DAY: Final = 1_440
"""The keeper comes once a minute."""
MOST_LOOKS: Final = 250
"""A round: a second or two of each minute, should every look find all of its rows too old."""

_ORDER_IS_GONE: Final = """
    old.tracking_number < c2a_first_number(now() - make_interval(months => :kept))
    AND NOT EXISTS (SELECT FROM orders WHERE orders.tracking_number = old.tracking_number
                    AND orders.tenant_id = old.tenant_id)
"""
# Whoever ordered an offer did so before its end. So only a live order that is as old may need it: of these there is
# hardly ever one, whatever waits, and they are looked up once.
_LIVE_AND_OLD: Final = """
    WITH live AS MATERIALIZED (
        SELECT tenant_id, offer_identifier FROM orders
        WHERE due_at IS NOT NULL AND admitted_at < now() - make_interval(days => :kept))
"""
_NOBODY_ORDERED_IT_STILL: Final = """
    old.expires_at < now() - make_interval(days => :kept)
    AND NOT EXISTS (SELECT FROM live WHERE live.tenant_id = old.tenant_id
                    AND live.offer_identifier = old.offer_identifier)
"""
_CANNOT_BE_ORDERED: Final = """
    NOT EXISTS (SELECT FROM offers WHERE offers.tenant_id = old.tenant_id
                AND offers.offer_identifier = old.offer_identifier AND offers.expires_at > now())
"""


def _deleting(table: str, what: str, first: str = "") -> TextClause:
    return text(f"""
        {first} DELETE FROM {table} AS old
        WHERE old.ctid >= CAST(:begins AS tid) AND old.ctid < CAST(:ends AS tid) AND {what}
    """)  # noqa: S608 - our own text; every value is bound


@dataclass(slots=True)
class Sweep:
    """One table, what of it is past keeping, and where the next look goes on; *statement* asks for :kept."""

    table: str
    statement: TextClause
    _page: int | None = field(default=None, init=False)

    def round(self, engine: Engine, kept: int) -> int:
        """A minute's part of the way, look by look, each in a transaction of its own; how many rows were deleted."""
        with statements(engine) as conn:
            looks = looks_a_round(_size(conn, self.table))
        return sum(self.look(engine, kept) for _ in range(looks))

    def look(self, engine: Engine, kept: int, *, pages: int = PAGES) -> int:
        """Delete what of the next *pages* pages was *kept* long enough; how many rows. Begins anywhere, so that a
        process that is often started anew does not see the same pages only."""
        with statements(engine) as conn:
            size = _size(conn, self.table)
            if self._page is None:
                self._page = secrets.randbelow(size + 1)
            begins = self._page if self._page < size else 0
            self._page = begins + pages
            values = {"begins": f"({begins},0)", "ends": f"({self._page},0)", "kept": kept}
            return conn.execute(self.statement, values).rowcount


_SIZE: Final = text("""
    SELECT pg_relation_size(CAST(:table AS regclass)) / current_setting('block_size')::bigint
""")


def looks_a_round(pages: int) -> int:
    """How many looks bring a table of *pages* once through in a day."""
    return min(max(math.ceil(pages / (PAGES * ROUNDS_A_DAY)), 1), MOST_LOOKS)


def _size(conn: Connection, table: str) -> int:
    """In pages."""
    return int(conn.execute(_SIZE, {"table": table}).scalar_one())


def of_psp_events() -> Sweep:
    """Events that had their effect; kept: days since then. A parked one waits for its charge, however old it is."""
    return Sweep("psp_events", _deleting("psp_events", "old.settled_at < now() - make_interval(days => :kept)"))


def of_attempts() -> Sweep:
    """Attempts of orders that are gone, once their money is where it stays; kept: months, as their orders were."""
    settled = "old.outcome IN ('captured', 'declined', 'absent', 'returned')"
    return Sweep("payment_attempts", _deleting("payment_attempts", f"{settled} AND {_ORDER_IS_GONE}"))


def of_refunds() -> Sweep:
    """Refunds of orders that are gone, once their PSP had its say; kept: months, as their orders were."""
    return Sweep("refunds", _deleting("refunds", f"old.state <> 'asked' AND {_ORDER_IS_GONE}"))


def of_actions() -> Sweep:
    """What operators did to orders that are gone, and what they did to none; kept: months, as their orders were."""
    old = "old.tracking_number IS NULL AND old.at < now() - make_interval(months => :kept)"
    return Sweep("operator_actions", _deleting("operator_actions", f"({old} OR {_ORDER_IS_GONE})"))


def of_offers() -> Sweep:
    """Offers that ended long ago, but for those a live order is for; kept: days since their end."""
    return Sweep("offers", _deleting("offers", _NOBODY_ORDERED_IT_STILL, _LIVE_AND_OLD))


def of_holds() -> Sweep:
    """Holds of orders that are gone on offers that ended, or are gone; kept: months, as their orders were."""
    return Sweep("offer_holds", _deleting("offer_holds", f"{_ORDER_IS_GONE} AND {_CANNOT_BE_ORDERED}"))
