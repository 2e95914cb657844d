"""Old months are dropped: by a function of the owner's, because the engine room owns nothing.

It decides by itself, so that whoever may call it can drop nothing that is young, live or owed. It takes its locks for a
moment or gives up, as migrations do: PostgreSQL does not detach CONCURRENTLY in a function, nor beside a DEFAULT
partition.
"""

from __future__ import annotations

from alembic import op

from shared.store.row_security import Role

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

DROP_MONTH = """
CREATE OR REPLACE FUNCTION c2a_drop_month(of_orders text, months int) RETURNS TABLE (kept_for text, example text)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp SET lock_timeout = '400ms' SET enable_seqscan = off AS $$
DECLARE
    of_events text := replace(of_orders, 'orders', 'order_events');
    before timestamptz := now() - make_interval(months => months);
    ends text := (SELECT substring(pg_get_expr(relpartbound, oid) FROM 'TO \\(''(trk_[0-9A-Z]{26})''\\)') FROM pg_class
                  WHERE oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'orders'::regclass)
                    AND relname = of_orders);
BEGIN
    IF months < 1 OR ends IS NULL OR ends > c2a_first_number(before) THEN
        RETURN QUERY SELECT 'it is not so old', of_orders;
        RETURN;
    END IF;
    FOR look IN 1..2 LOOP  -- The second time with nobody beside us.
        RETURN QUERY EXECUTE format('SELECT ''an order is not finished'', tracking_number FROM %I'
            ' WHERE due_at IS NOT NULL LIMIT 1', of_orders);
        IF FOUND THEN RETURN; END IF;
        RETURN QUERY EXECUTE format('SELECT ''money of an order is out'', tracking_number'
            ' FROM payment_attempts AS attempt JOIN %I AS held USING (tracking_number, tenant_id)'
            ' WHERE attempt.outcome IN (''open'', ''challenged'', ''pending'', ''returning'') LIMIT 1', of_orders);
        IF FOUND THEN RETURN; END IF;
        RETURN QUERY EXECUTE format('SELECT ''an order is being refunded'', tracking_number'
            ' FROM refunds JOIN %I AS held USING (tracking_number, tenant_id)'
            ' WHERE refunds.state = ''asked'' LIMIT 1', of_orders);
        IF FOUND THEN RETURN; END IF;
        RETURN QUERY EXECUTE format('SELECT ''an order moved since'', tracking_number FROM %I'
            ' WHERE at > %L LIMIT 1', of_events, before);
        IF FOUND THEN RETURN; END IF;
        IF look = 1 THEN
            LOCK TABLE ONLY orders, ONLY order_events IN ACCESS EXCLUSIVE MODE;
        END IF;
    END LOOP;
    EXECUTE format('ALTER TABLE orders DETACH PARTITION %I', of_orders);
    EXECUTE format('ALTER TABLE order_events DETACH PARTITION %I', of_events);
    EXECUTE format('DROP TABLE %I, %I', of_orders, of_events);
END $$
"""
"""Drops the partitions of a month (or of all before one) that ended *months* ago; else says why not, by an example.
By its numbers an order may be older than it is, if a clock was wrong: so its events have their say, by the database's
time. Each question is for an index, also where nobody counted the rows yet: the second time others wait for it."""


def upgrade() -> None:
    """Bring the schema to this revision."""
    op.execute(DROP_MONTH)
    op.execute("REVOKE ALL ON FUNCTION c2a_drop_month(text, int) FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION c2a_drop_month(text, int) TO {Role.ENGINE_ROOM}")


def downgrade() -> None:
    """Take back."""
    op.execute("DROP FUNCTION c2a_drop_month(text, int)")
