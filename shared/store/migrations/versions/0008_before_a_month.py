"""Orders and their events are to lie in partitions by month, step 1 of 3: no order from now on is of a later month.

What is there becomes the partition of everything before a month that is still to come. PostgreSQL attaches a table
without reading it if a constraint says already that its rows belong there; so each table gets one, unproven as yet,
which takes a moment, and the next step proves it while orders flow. The month begins in five weeks or later, so long
the steps may lie apart, and behind all orders there are, also those of a clock that was ahead.
"""

from __future__ import annotations

from alembic import op

from shared.store import number_order

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TABLES = ("orders", "order_events")

FIRST_NUMBER = """
CREATE FUNCTION c2a_first_number(moment timestamptz) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT 'trk_' || string_agg(
        substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ',
               ((greatest(0, floor(extract(epoch FROM moment) * 1000))::bigint >> place) & 31)::int + 1, 1), ''
        ORDER BY place DESC)
        || repeat('0', 16)
    FROM generate_series(0, 45, 5) AS place
$$
"""
"""The least tracking number of a moment: a ULID is 48 bits of milliseconds and 80 random ones, five to a letter. Of a
moment before 1970, which has none, the least of all."""

BOUND = """
DO $$
DECLARE
    month timestamptz := date_trunc('month', now() + interval '35 days', 'UTC') + interval '1 month';
    name text;
BEGIN
    WHILE EXISTS (SELECT FROM orders
                  WHERE tracking_number >= c2a_first_number(month) AND tracking_number < 'trk_8') LOOP
        month := month + interval '1 month';  -- Of a clock that was ahead.
    END LOOP;
    FOREACH name IN ARRAY ARRAY['orders', 'order_events'] LOOP
        EXECUTE format('ALTER TABLE %I ADD CONSTRAINT %I CHECK (tracking_number < %L) NOT VALID',
            name, name || '_before_' || to_char(month AT TIME ZONE 'UTC', 'YYYY_MM'), c2a_first_number(month));
    END LOOP;
END $$
"""


def upgrade() -> None:
    """Bring the schema to this revision."""
    op.execute(number_order.REFUSE_ANOTHER_ORDER)
    op.execute(FIRST_NUMBER)
    op.execute(BOUND)


def downgrade() -> None:
    """Take back."""
    for table in TABLES:
        op.execute(f"""
            DO $$
            DECLARE name text;
            BEGIN
                FOR name IN SELECT conname FROM pg_constraint
                    WHERE conrelid = '{table}'::regclass AND conname LIKE '{table}@_before@_%' ESCAPE '@'
                LOOP
                    EXECUTE format('ALTER TABLE {table} DROP CONSTRAINT %I', name);
                END LOOP;
            END $$""")  # noqa: S608 - our own text
    op.execute("DROP FUNCTION c2a_first_number(timestamptz)")
