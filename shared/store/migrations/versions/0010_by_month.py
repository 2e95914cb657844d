"""Orders and their events lie in partitions by month, step 3 of 3: a moment's exclusive lock, and nothing is read.

The old tables become the partitions of everything before their month; PostgreSQL takes their constraints' word for it,
and their indexes for its own. Whoever waits for the lock meanwhile finds the new tables by the old names. Privileges
are on the partitioned tables alone: by the name of a partition nobody but the owner reaches a row, and row-level
security binds the owner there, too.

Partitions are made by a function of the owner's, because the engine room owns nothing. There is a DEFAULT partition, so
that no clock and no late upkeep can make an order fail. The function takes its locks for a moment or gives up, as
migrations do.
"""

from __future__ import annotations

from alembic import op

from shared.store import row_security
from shared.store.row_security import ADDED, CHANGED, Role

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

TABLES = {"orders": CHANGED, "order_events": ADDED}
"""Both, and what the API may do with each (migration 0004)."""

KEYS = {"orders": "tracking_number, tenant_id", "order_events": "tenant_id, tracking_number, version"}
INDEXES = {
    "orders_due": "orders (state, due_at) WHERE due_at IS NOT NULL",
    "orders_of_customer": "orders (tenant_id, customer_urn, tracking_number)",
    "orders_of_correlation": "orders (tenant_id, correlation_id) WHERE correlation_id IS NOT NULL",
    "order_events_by_time": "order_events USING brin (at) WITH (autosummarize = on, pages_per_range = 32)",
}

SET_ASIDE = """
DO $$
DECLARE
    month text := (SELECT right(conname, 7) FROM pg_constraint
                   WHERE conrelid = '{table}'::regclass AND conname ~ '^{table}_before_\\d{{4}}_\\d{{2}}$');
    old text := '{table}_before_' || month;
    index text;
BEGIN
    EXECUTE format('ALTER TABLE {table} RENAME TO %I', old);
    FOR index IN SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = old::regclass LOOP
        EXECUTE format('ALTER INDEX %I RENAME TO %I', index, replace(index, '{table}', old));
    END LOOP;
    EXECUTE format('CREATE TABLE {table} (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)'
                   ' PARTITION BY RANGE (tracking_number)', old);
    EXECUTE format('ALTER TABLE {table} DROP CONSTRAINT %I', old);
    EXECUTE format('REVOKE ALL ON %I FROM {api}, {engine_room}', old);
END $$
"""

TAKE_IN = """
DO $$
DECLARE
    old text := (SELECT relname FROM pg_class
                 WHERE relname ~ '^{table}_before_\\d{{4}}_\\d{{2}}$' AND relkind = 'r'
                   AND relnamespace = 'public'::regnamespace);
BEGIN
    EXECUTE format('ALTER TABLE {table} ATTACH PARTITION %I FOR VALUES FROM (MINVALUE) TO (%L)', old,
        c2a_first_number(to_date(right(old, 7), 'YYYY_MM')::timestamp AT TIME ZONE 'UTC'));
    EXECUTE format('ALTER TABLE %I DROP CONSTRAINT %I', old, old);
END $$
"""

PARTITION = """
CREATE FUNCTION c2a_partition(parent text, name text) RETURNS void LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
BEGIN
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)',
        name, parent);
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
    EXECUTE format('CREATE POLICY own_tenant ON %I'
        ' USING (tenant_id = nullif(current_setting(''c2a.tenant'', true), '''')::uuid)', name);
    EXECUTE format('CREATE POLICY every_tenant ON %I TO {engine_room} USING (true)', name);
END $$
"""
"""A table to become a partition: shut like one of tenants, and granted to nobody."""

ADD_MONTH = """
CREATE FUNCTION c2a_add_month(first_day date, most bigint) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp SET lock_timeout = '400ms' AS $$
DECLARE
    month timestamptz := date_trunc('month', first_day::timestamp) AT TIME ZONE 'UTC';
    begins text := c2a_first_number(month);
    ends text := c2a_first_number((date_trunc('month', first_day::timestamp) + interval '1 month') AT TIME ZONE 'UTC');
    parent text;
    part text;
    found bigint;
    moved bigint := 0;
BEGIN
    LOCK TABLE orders_default, order_events_default IN ACCESS EXCLUSIVE MODE;
    FOREACH parent IN ARRAY ARRAY['orders', 'order_events'] LOOP
        EXECUTE format('SELECT count(*) FROM (SELECT FROM %I WHERE tracking_number >= %L AND tracking_number < %L'
                       ' LIMIT %s) AS few', parent || '_default', begins, ends, most + 1) INTO found;
        moved := moved + found;
    END LOOP;
    IF moved > most THEN
        RETURN NULL;
    END IF;
    FOREACH parent IN ARRAY ARRAY['orders', 'order_events'] LOOP
        part := parent || to_char(first_day, '_YYYY_MM');
        PERFORM c2a_partition(parent, part);
        IF moved > 0 THEN
            EXECUTE format('WITH moved AS (DELETE FROM %I WHERE tracking_number >= %L AND tracking_number < %L'
                ' RETURNING *) INSERT INTO %I SELECT * FROM moved', parent || '_default', begins, ends, part);
        END IF;
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, part, begins, ends);
    END LOOP;
    RETURN moved;
END $$
"""
"""Makes the partitions of a month; how many rows it moved there from the default ones, whose months were late or whose
clocks were ahead. NULL, and nothing is done, if they were more than *most*."""

TENANT_OF_ORDER = """
CREATE OR REPLACE FUNCTION c2a_tenant_of_order(shown text) RETURNS uuid LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp AS $$
BEGIN
    RETURN (SELECT tenant_id FROM orders WHERE tracking_number = shown);
END $$
"""
"""As in migration 0004, but planned with the number known, so for its partition alone; in SQL it is planned for all."""

FIRST_MONTHS = """
SELECT c2a_add_month((month + make_interval(months => later))::date, 0)
FROM (SELECT to_date(right(relname, 7), 'YYYY_MM') AS month FROM pg_class
      WHERE relname ~ '^orders_before_\\d{4}_\\d{2}$' AND relkind = 'r'
        AND relnamespace = 'public'::regnamespace) AS bound, generate_series(0, 1) AS later
"""

BOUND_AGAIN = """
DO $$
DECLARE month timestamptz := date_trunc('month', now() + interval '35 days', 'UTC') + interval '1 month';
BEGIN
    EXECUTE format('ALTER TABLE {table} ADD CONSTRAINT %I CHECK (tracking_number < %L)',
        '{table}_before_' || to_char(month AT TIME ZONE 'UTC', 'YYYY_MM'), c2a_first_number(month));
END $$
"""
"""As step 1 left it, for a way up again."""


def upgrade() -> None:
    """Bring the schema to this revision."""
    roles = {"api": Role.API, "engine_room": Role.ENGINE_ROOM}
    for table, api_may in TABLES.items():
        op.execute(SET_ASIDE.format(table=table, **roles))
        op.execute(f"ALTER TABLE {table} ADD PRIMARY KEY ({KEYS[table]})")
        for name, of in INDEXES.items():
            if of.split()[0] == table:
                op.execute(f"CREATE INDEX {name} ON {of}")
        for statement in row_security.protect(table, api_may):
            op.execute(statement)
        op.execute(TAKE_IN.format(table=table))
    op.execute(PARTITION.format(engine_room=Role.ENGINE_ROOM))
    op.execute("REVOKE ALL ON FUNCTION c2a_partition(text, text) FROM PUBLIC")
    for table in TABLES:
        op.execute(f"SELECT c2a_partition('{table}', '{table}_default')")
        op.execute(f"ALTER TABLE {table} ATTACH PARTITION {table}_default DEFAULT")
    op.execute(ADD_MONTH)
    op.execute("REVOKE ALL ON FUNCTION c2a_add_month(date, bigint) FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION c2a_add_month(date, bigint) TO {Role.ENGINE_ROOM}")
    op.execute(TENANT_OF_ORDER)
    op.execute(FIRST_MONTHS)


def downgrade() -> None:
    """Take back: one table each again, all rows in it; they are moved, so this takes long and stops everybody."""
    op.execute("DROP FUNCTION c2a_add_month(date, bigint)")
    op.execute("DROP FUNCTION c2a_partition(text, text)")
    for table, api_may in TABLES.items():
        op.execute(f"ALTER TABLE {table} RENAME TO {table}_by_month")
        op.execute(f"CREATE TABLE {table} (LIKE {table}_by_month INCLUDING DEFAULTS INCLUDING CONSTRAINTS)")
        op.execute(f"INSERT INTO {table} SELECT * FROM {table}_by_month")  # noqa: S608 - our own text
        op.execute(f"DROP TABLE {table}_by_month")
        op.execute(f"ALTER TABLE {table} ADD PRIMARY KEY ({KEYS[table]})")
        for name, of in INDEXES.items():
            if of.split()[0] == table:
                op.execute(f"CREATE INDEX {name} ON {of}")
        for statement in row_security.protect(table, api_may):
            op.execute(statement)
        op.execute(BOUND_AGAIN.format(table=table))
