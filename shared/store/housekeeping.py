"""Forgets what is past keeping."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, text

KEY_LIFE_DAYS: Final = 31
"""How long an idempotency key is kept (contract section 2)."""
BATCH: Final = 500
"""Rows a call, so that it never holds a lock for long; it is called every minute."""

_OLD_KEYS: Final = text("""
    DELETE FROM idempotency_keys WHERE (tenant_id, key) IN (
        SELECT tenant_id, key FROM idempotency_keys AS old
        WHERE created_at < now() - make_interval(days => :days)
          AND NOT EXISTS (
              SELECT FROM orders
              WHERE orders.tracking_number = old.tracking_number AND orders.tenant_id = old.tenant_id
                AND orders.finished_at IS NULL)
        LIMIT :batch)
""")


def forget_old_keys(conn: Connection) -> None:
    """Let go of keys past their life, but never of a live order's: a repeat must still find it."""
    conn.execute(_OLD_KEYS, {"days": KEY_LIFE_DAYS, "batch": BATCH})
