"""Orders and their events are to lie in partitions by month, step 2 of 3: proves what step 1 says.

PostgreSQL reads both tables for it, for as long as that takes, under a lock that keeps nobody from reading or writing
(SHARE UPDATE EXCLUSIVE); so it is a transaction of its own, which holds no other. Nobody who orders waits behind it,
either, so it may wait longer than other changes: an autovacuum gives way to who has waited for a second.
"""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

PROVE = r"""
DO $$
DECLARE bound record;
BEGIN
    FOR bound IN SELECT conname, conrelid::regclass AS relation FROM pg_constraint
        WHERE conrelid IN ('orders'::regclass, 'order_events'::regclass)
          AND conname ~ '^(orders|order_events)_before_\d{4}_\d{2}$'
    LOOP
        EXECUTE format('ALTER TABLE %s VALIDATE CONSTRAINT %I', bound.relation, bound.conname);
    END LOOP;
END $$
"""


def upgrade() -> None:
    """Bring the schema to this revision."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(PROVE)


def downgrade() -> None:
    """Take back: what is proven does no harm."""
