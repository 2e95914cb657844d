"""Forgets what is past keeping."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import ARRAY, Connection, Text, bindparam, text

from shared.domain.states import NEEDS_NO_CARD

BATCH: Final = 500
"""Rows a call, so that it never holds a lock for long; it is called every minute, again while it finds so many."""
MOST_BATCHES: Final = 40
"""A minute: 20,000 keys, as many as 300 orders a second bring, and half a second of whoever calls."""

# A live order is due, and the index of those that are is small: no partition is read for it.
_OLD_KEYS: Final = text("""
    DELETE FROM idempotency_keys WHERE (tenant_id, key) IN (
        SELECT tenant_id, key FROM idempotency_keys AS old
        WHERE created_at < now() - make_interval(days => :days)
          AND NOT EXISTS (
              SELECT FROM orders
              WHERE orders.tracking_number = old.tracking_number AND orders.tenant_id = old.tenant_id
                AND orders.due_at IS NOT NULL)
        LIMIT :batch)
""")


_SPENT: Final = text("""
    SELECT tracking_number FROM orders
    WHERE tracking_number = ANY (:numbers)
      AND (state = ANY (:spent) OR state = 'confirming' AND deadline_at IS NOT NULL)
""").bindparams(bindparam("numbers", type_=ARRAY(Text)), bindparam("spent", type_=ARRAY(Text)))


def needing_no_card(conn: Connection, tracking_numbers: Sequence[str]) -> set[str]:
    """Those of *tracking_numbers* whose orders will never need their card again (as Order.needs_no_card says); one
    unknown may be on its way in."""
    values = {"numbers": list(tracking_numbers), "spent": sorted(state.value for state in NEEDS_NO_CARD)}
    return set(conn.execute(_SPENT, values).scalars())


def forget_old_keys(conn: Connection, *, days: int) -> int:
    """Let go of keys older than *days*, but never of a live order's: a repeat must still find it. How many; where it is
    BATCH there may be more."""
    return conn.execute(_OLD_KEYS, {"days": days, "batch": BATCH}).rowcount
