"""Tens of thousands of orders as rows, in one statement: for tests of what a backlog does."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import Connection, Engine, text

from shared.domain.states import OrderState

_MANY = text("""
    INSERT INTO orders (tenant_id, tracking_number, state, offer_identifier, customer_urn, channel, carries_card,
                        keeps_method, request, amount_minor, currency, due_at, admitted_at, changed_at)
    SELECT coalesce(CAST(:tenant AS uuid), gen_random_uuid()), :prefix || lpad(n::text, 8, '0'), :state, 'of_test',
           'cu.00.482', 'CreditCard', false, false, '{}', 1499, 'EUR', sent + interval '10 s', sent, sent
    FROM generate_series(1, :count) AS n,
         LATERAL (SELECT now() - make_interval(secs => :age_s) + n * interval '10 microseconds' AS sent) AS when_sent
""")

_WORKED_OFF = text("""
    WITH next AS (
        SELECT tracking_number, tenant_id FROM orders WHERE state = 'admitted' ORDER BY due_at LIMIT :count),
    moved AS (
        UPDATE orders SET state = 'offer_locked', version = version + 1, due_at = now() + interval '1 hour'
        FROM next WHERE orders.tracking_number = next.tracking_number AND orders.tenant_id = next.tenant_id
        RETURNING orders.tenant_id, orders.tracking_number, orders.version)
    INSERT INTO order_events (tenant_id, tracking_number, version, event, state, actor)
    SELECT tenant_id, tracking_number, version, 'offer_held', 'offer_locked', 'lock_offer' FROM moved
""")


def a_crowd(
    engine: Engine,
    state: OrderState,
    count: int,
    *,
    age_s: float,
    prefix: str = "trk_crowd_",
    tenant: UUID | None = None,
) -> None:
    """*count* orders whose message was sent *age_s* seconds ago, oldest first by number; of *tenant*, or each of one
    of its own."""
    with engine.begin() as conn:
        conn.execute(text("SET LOCAL statement_timeout = 0"))  # No product writes so many at once.
        conn.execute(_MANY, {"state": state, "count": count, "age_s": age_s, "prefix": prefix, "tenant": tenant})
        conn.execute(text("ANALYZE orders"))


def work_off(conn: Connection, count: int) -> None:
    """What *count* runs of the offer lock do to the rows: the oldest admitted orders move, each with its event."""
    conn.execute(_WORKED_OFF, {"count": count})


def nobody(engine: Engine) -> None:
    """Forget every order."""
    with engine.begin() as conn:
        conn.execute(text("TRUNCATE orders, order_events, payment_attempts, psp_events"))
