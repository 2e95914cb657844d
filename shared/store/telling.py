"""Makes deliveries of what happened to orders, and keeps what no order's move tells.

A move writes its row of `order_events` anyway, in its own statement, so nothing is written a second time there: these
rows are read (shared/store/reader.py). With whatever is found to be told of an order, all of it is told that was not
told yet, in one transaction: moves of one order follow each other by its row's lock, so whoever sees one sees those
before it, and its events have their deliveries in their order. A move older than any a reading still looks for had its
delivery: where there is none, the log of it is past keeping. Other events wait in `tenant_events`, written by the
transaction that makes them true; they are read before the moves, so that a move they follow is told with them.

The time is read once, whoever listens (MATERIALIZED), and inner selects end in LIMIT 1 where one row is asked for by
its key: PostgreSQL then looks each up by its index, in its partition, however large the table. As joins they would at
times read all of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ARRAY, Connection, DateTime, Interval, Text, Uuid, bindparam, literal, select, text
from sqlalchemy.dialects.postgresql import insert

from shared.domain.states import CODE_OF, OrderState
from shared.domain.tenant_events import EventKind, TenantEvent, body_of
from shared.store.tables import event_deliveries, event_endpoints, tenant_events

PAGE: Final = 500
"""Orders a reading tells of; of each a few deliveries."""
MOST_MOVES: Final = 100
"""Of one order; a challenge and an end are the common two."""
BACK: Final = timedelta(minutes=15)
"""How far before its place a reading still finds things, for two servers' clocks may be apart at a failover: hosts that
keep time at all differ less."""

OrderName = tuple[UUID, str]
"""A tenant and a tracking number."""

_COLUMNS: Final = ("tenant_id", "event_id", "kind", "subject", "place", "body")

_TOLD: Final = """
    CROSS JOIN LATERAL (VALUES
        (CASE move.state WHEN 'done' THEN 'checkout.done' WHEN 'failed' THEN 'checkout.failed'
                         ELSE 'checkout.action_required' END,
         'evt_' || substr(move.tracking_number, 5) || '_' || move.version),
        (CASE WHEN move.event = 'method_stored' THEN 'payment_method.stored' END,
         'evt_' || substr(move.tracking_number, 5) || '_' || move.version || '_method')) AS told (kind, event_id)
    WHERE move.state IN ('done', 'failed', 'challenge') AND endpoint.state <> 'removed'
      AND move.at >= endpoint.created_at AND told.kind = ANY (endpoint.kinds)
      AND move.at >= endpoint.read_to - CAST(:back AS interval)
      AND (SELECT 1 FROM event_deliveries AS made
           WHERE made.tenant_id = move.tenant_id AND made.endpoint_id = endpoint.endpoint_id
             AND made.event_id = told.event_id LIMIT 1) IS NULL
"""
"""What a *move* tells an *endpoint* and was not told yet: every move so long before read_to had its delivery."""
_BACK: Final = bindparam("back", BACK, type_=Interval)

_FRESH: Final = text(f"""
    WITH move AS MATERIALIZED (
        SELECT * FROM order_events
        WHERE at >= :since AND at < coalesce(:ends_at, 'infinity') AND tracking_number >= :oldest
          AND state IN ('done', 'failed', 'challenge'))
    SELECT move.tenant_id, move.tracking_number
    FROM move JOIN event_endpoints AS endpoint USING (tenant_id) {_TOLD}
    GROUP BY move.tenant_id, move.tracking_number ORDER BY min(move.at) LIMIT :page
""").bindparams(  # noqa: S608 - our own text
    _BACK, bindparam("since", type_=DateTime(timezone=True)), bindparam("ends_at", type_=DateTime(timezone=True))
)

_UNTOLD: Final = text(f"""
    SELECT move.tenant_id, endpoint.endpoint_id, told.kind, told.event_id, move.tracking_number, move.version,
           move.state, move.at, correlation_id, orders.customer_urn, offer_identifier, failure, amount_minor, currency,
           method.method_urn, method.channel
    FROM (SELECT DISTINCT * FROM unnest(:tenants, :numbers) AS named (tenant_id, tracking_number)) AS named
    CROSS JOIN LATERAL (
        SELECT * FROM order_events
        WHERE order_events.tenant_id = named.tenant_id AND order_events.tracking_number = named.tracking_number
          AND order_events.state IN ('done', 'failed', 'challenge') ORDER BY version LIMIT :most) AS move
    CROSS JOIN LATERAL (
        SELECT * FROM orders
        WHERE orders.tracking_number = named.tracking_number AND orders.tenant_id = named.tenant_id LIMIT 1) AS orders
    LEFT JOIN LATERAL (
        SELECT method_urn, channel FROM stored_methods
        WHERE stored_methods.tenant_id = named.tenant_id AND stored_methods.tracking_number = named.tracking_number
        LIMIT 1) AS method ON move.event = 'method_stored'
    JOIN event_endpoints AS endpoint ON endpoint.tenant_id = named.tenant_id {_TOLD}
""").bindparams(  # noqa: S608 - our own text
    _BACK, bindparam("tenants", type_=ARRAY(Uuid)), bindparam("numbers", type_=ARRAY(Text))
)

_OTHERS: Final = text("""
    SELECT event.*, endpoint.endpoint_id
    FROM (SELECT * FROM tenant_events ORDER BY at LIMIT :page) AS event
    LEFT JOIN event_endpoints AS endpoint
      ON endpoint.tenant_id = event.tenant_id AND endpoint.state <> 'removed'
     AND event.at >= endpoint.created_at AND event.kind = ANY (endpoint.kinds)
""")
_OVER: Final = text("""
    DELETE FROM tenant_events USING unnest(:tenants, :events) AS told (tenant_id, event_id)
    WHERE tenant_events.tenant_id = told.tenant_id AND tenant_events.event_id = told.event_id
""").bindparams(bindparam("tenants", type_=ARRAY(Uuid)), bindparam("events", type_=ARRAY(Text)))


def tell(conn: Connection, event: TenantEvent) -> None:
    """Have the tenant told of what no move of an order tells, once the caller's transaction commits; nothing where it
    has no endpoint."""
    columns = {name: getattr(event, name) for name in _COLUMNS}
    values = [literal(value, tenant_events.c[name].type) for name, value in columns.items()]
    endpoint = event_endpoints.c  # Of these two columns alone the front door may know.
    listening = select(endpoint.tenant_id).where(endpoint.tenant_id == event.tenant_id, endpoint.state != "removed")
    telling = insert(tenant_events).from_select([*columns], select(*values).where(listening.exists()))
    conn.execute(telling.on_conflict_do_nothing())


def fresh(conn: Connection, since: datetime, ends_at: datetime | None, *, oldest: str) -> list[OrderName]:
    """At most PAGE orders of which there is something to tell that happened in this time, the longest ago first.

    *oldest*: only of orders of this number or later.
    """
    values = {"since": since, "ends_at": ends_at, "oldest": oldest, "page": PAGE}
    return [(row.tenant_id, row.tracking_number) for row in conn.execute(_FRESH, values)]


def others(conn: Connection) -> Sequence[Any]:
    """The oldest events that no move tells, a row for each endpoint that asked for them, or one for none."""
    return conn.execute(_OTHERS, {"page": PAGE}).all()


def deliver(conn: Connection, orders: Sequence[OrderName], others: Sequence[Any]) -> int:
    """Make deliveries of all that was not told of *orders*, and of *others* (read before them); how many."""
    named = {*orders, *((row.tenant_id, row.subject) for row in others)}
    made: list[dict[str, Any]] = []
    if named:
        tenants, numbers = zip(*named, strict=True)
        values = {"tenants": list(tenants), "numbers": list(numbers), "most": MOST_MOVES}
        made = [_delivery(_event_of(row), row) for row in conn.execute(_UNTOLD, values)]
    made += [_delivery(row, row) for row in others if row.endpoint_id is not None]
    if made:
        conn.execute(insert(event_deliveries).on_conflict_do_nothing(), made)
    if others:
        over = {"tenants": [row.tenant_id for row in others], "events": [row.event_id for row in others]}
        conn.execute(_OVER, over)
    return len(made)


def _delivery(event: Any, row: Any) -> dict[str, Any]:
    """The delivery of *event* for which *row* tells the endpoint and the time."""
    return {name: getattr(event, name) for name in _COLUMNS} | {"endpoint_id": row.endpoint_id, "at": row.at}


def _event_of(row: Any) -> TenantEvent:
    kind = EventKind(row.kind)
    named = {
        "tracking_number": row.tracking_number,
        "correlation_id": row.correlation_id,
        "customer_urn": row.customer_urn,
    }
    if kind is EventKind.METHOD_STORED:
        more: dict[str, Any] = {"payment_method_urn": row.method_urn, "payment_channel": row.channel}
    else:
        more = {
            "offer_identifier": row.offer_identifier,
            "amount_milpieces": row.amount_minor,
            "currency": row.currency,
            "status": {"messageCode": CODE_OF[OrderState(row.state)].value},
            "message": row.failure if kind is EventKind.FAILED else None,
        }
    body = body_of(kind, row.at, **named, **more)
    return TenantEvent(row.tenant_id, row.event_id, kind, row.tracking_number, row.version, body)
