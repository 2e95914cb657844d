"""Makes deliveries of what happened: none is forgotten, and no move of an order waits for it.

A move writes its row of `order_events` anyway, in its own statement, so nothing is written a second time there: these
rows are read, from where the last reading ended. Commits become visible in another order than their rows were written,
so a reading may not simply go on behind the newest row it saw: a move that wrote earlier may still be uncommitted. So
the place up to which all was read (`read_to`) moves in two steps. A mark notes a time T, LAG in the past, and a
transaction id X given out after T: whatever wrote a row before T had its id by then, a smaller one. Once no transaction
up to X runs any more (pg_snapshot_xmin), a reading sees every row up to T that will ever be there, and the place moves
to T. Rows behind the place are told as soon as they are seen; that they are seen again until then costs a look into the
deliveries, whose key lets each be made once.

That reckons with a database whose clock only goes forward. One that takes over from another may be behind it: so now
and then a reading goes BACK further than it must.

Moves of one order follow each other by its row's lock, so whoever sees one sees those before it. Other events wait in
`tenant_events`; they are looked for first and made deliveries last, so that a move they follow is never behind them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ARRAY, Connection, Engine, Interval, Text, Uuid, bindparam, exists, literal, select, text
from sqlalchemy.dialects.postgresql import insert

from shared.domain.states import CODE_OF, OrderState
from shared.domain.tenant_events import EventKind, TenantEvent, body_of
from shared.store.tables import event_deliveries, event_endpoints, tenant_events

LAG: Final = timedelta(seconds=5)
"""A statement notes its time before it must have an id; it ends within this time (Settings.statement_timeout_ms)."""
BACK: Final = timedelta(minutes=15)
"""How far two servers' clocks may be apart for a failover to lose nothing: hosts that keep time at all differ less."""
PAGE: Final = 500
"""Deliveries a statement makes: some 200 kB."""
LOCK: Final = 0xC2AE
"""Any number nobody else takes (migrations: 0xC2A, the examiner: 0xC2AD)."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Once no transaction up to *xid* runs any more, every row written up to *at* can be seen."""

    at: datetime
    xid: int


@dataclass(frozen=True, slots=True)
class Reading:
    """What one reading did: how many deliveries it made, whether there is more, and the mark for the next."""

    made: int = 0
    has_more: bool = False
    mark: Mark | None = None


def read(engine: Engine, mark: Mark | None, *, lag: timedelta = LAG, back: timedelta = timedelta()) -> Reading:
    """Make deliveries of what is new, unless somebody else does at this moment.

    *mark*: as the last reading of this process left it. *back*: how much further than it must to go back.
    """
    with engine.begin() as conn:
        begun = conn.execute(_BEGIN, {"lag": lag, "back": back, "lock": LOCK}).one()
        if begun.since is None or not begun.alone:
            return Reading(mark=mark)
        others = conn.execute(_OTHERS, {"page": PAGE}).all()
        moves = conn.execute(_MOVES, {"since": begun.since, "page": PAGE}).all()
        _deliver(conn, [_values(_event_of(row), row) for row in moves])
        if len(moves) == PAGE:  # What is left of them goes before the others.
            return Reading(PAGE, has_more=True, mark=mark)
        made = len(moves) + _deliver_others(conn, others)
        return Reading(made, len(others) >= PAGE, _moved_on(conn, mark, begun, lag))


def tell(conn: Connection, event: TenantEvent) -> None:
    """Have the tenant told of what no move of an order tells, once the caller's transaction commits; nothing where it
    has no endpoint."""
    columns = {name: getattr(event, name) for name in _COLUMNS}
    values = [literal(value, tenant_events.c[name].type) for name, value in columns.items()]
    listens = exists().where(event_endpoints.c.tenant_id == event.tenant_id, event_endpoints.c.state != "removed")
    telling = insert(tenant_events).from_select([*columns], select(*values).where(listens))
    conn.execute(telling.on_conflict_do_nothing())


_COLUMNS: Final = ("tenant_id", "event_id", "kind", "subject", "place", "body")

_BEGIN: Final = text("""
    SELECT least(min(read_to), clock_timestamp() - CAST(:lag AS interval)) - CAST(:back AS interval) AS since,
           pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS horizon,
           min(read_to) < clock_timestamp() - 2 * CAST(:lag AS interval) AS is_behind,
           array_agg(endpoint_id) AS listening,
           CASE WHEN min(read_to) IS NOT NULL THEN pg_try_advisory_xact_lock(:lock) END AS alone
    FROM event_endpoints WHERE state <> 'removed'
""").bindparams(bindparam("lag", type_=Interval), bindparam("back", type_=Interval))

_OTHERS: Final = text("""
    SELECT event.*, endpoint.endpoint_id
    FROM (SELECT * FROM tenant_events ORDER BY at LIMIT :page) AS event
    LEFT JOIN event_endpoints AS endpoint
      ON endpoint.tenant_id = event.tenant_id AND endpoint.state <> 'removed'
     AND event.at >= endpoint.created_at AND event.kind = ANY (endpoint.kinds)
""")

_MOVES: Final = text("""
    SELECT move.tenant_id, endpoint_id, told.kind, move.tracking_number, move.version, move.state, move.at,
           'evt_' || substr(move.tracking_number, 5) || '_' || move.version || told.suffix AS event_id,
           correlation_id, orders.customer_urn, offer_identifier, failure, amount_minor, currency,
           method.method_urn, method.channel
    FROM order_events AS move
    JOIN event_endpoints AS endpoint USING (tenant_id)
    JOIN orders USING (tracking_number, tenant_id)
    LEFT JOIN stored_methods AS method
      ON move.event = 'method_stored' AND method.tenant_id = move.tenant_id
     AND method.tracking_number = move.tracking_number
    CROSS JOIN LATERAL (VALUES
        (CASE move.state WHEN 'done' THEN 'checkout.done' WHEN 'failed' THEN 'checkout.failed'
                         ELSE 'checkout.action_required' END, ''),
        (CASE WHEN method.method_urn IS NOT NULL THEN 'payment_method.stored' END, '_method')) AS told (kind, suffix)
    WHERE move.at >= :since AND move.state IN ('done', 'failed', 'challenge')
      AND endpoint.state <> 'removed' AND move.at >= endpoint.created_at AND told.kind = ANY (endpoint.kinds)
      AND NOT EXISTS (
          SELECT FROM event_deliveries AS made
          WHERE made.tenant_id = move.tenant_id AND made.endpoint_id = endpoint.endpoint_id
            AND made.event_id = 'evt_' || substr(move.tracking_number, 5) || '_' || move.version || told.suffix)
    ORDER BY move.at, move.version, told.suffix LIMIT :page
""")

_MARK: Final = text("""
    SELECT clock_timestamp() - CAST(:lag AS interval) AS at, pg_current_xact_id()::text::bigint AS xid
""").bindparams(bindparam("lag", type_=Interval))
_READ_TO: Final = text("""
    UPDATE event_endpoints SET read_to = :at WHERE endpoint_id = ANY (:listening) AND read_to < :at
""").bindparams(bindparam("listening", type_=ARRAY(Text)))


def _moved_on(conn: Connection, mark: Mark | None, begun: Any, lag: timedelta) -> Mark | None:
    """The mark for the next reading; where the present one was reached, the place moves to it.

    Only that of endpoints which this reading knew: one that was added meanwhile was not read for.
    """
    if mark is not None:
        if begun.horizon <= mark.xid:
            return mark
        conn.execute(_READ_TO, {"at": mark.at, "listening": begun.listening})
    if not begun.is_behind:
        return None
    row = conn.execute(_MARK, {"lag": lag}).one()
    return Mark(row.at, row.xid)


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


def _values(event: Any, row: Any) -> dict[str, Any]:
    """The delivery of *event* for which *row* tells the endpoint and the time."""
    return {name: getattr(event, name) for name in _COLUMNS} | {"endpoint_id": row.endpoint_id, "at": row.at}


def _deliver(conn: Connection, made: list[dict[str, Any]]) -> None:
    if made:
        conn.execute(insert(event_deliveries).values(made).on_conflict_do_nothing())


_TOLD: Final = text("""
    DELETE FROM tenant_events USING unnest(CAST(:tenants AS uuid[]), :events) AS told (tenant_id, event_id)
    WHERE tenant_events.tenant_id = told.tenant_id AND tenant_events.event_id = told.event_id
""").bindparams(bindparam("tenants", type_=ARRAY(Uuid)), bindparam("events", type_=ARRAY(Text)))


def _deliver_others(conn: Connection, others: Sequence[Any]) -> int:
    """How many deliveries the events of *others* became; those that nobody asked for are over as well."""
    heard = [row for row in others if row.endpoint_id is not None]
    _deliver(conn, [_values(row, row) for row in heard])
    if others:
        told = {"tenants": [row.tenant_id for row in others], "events": [row.event_id for row in others]}
        conn.execute(_TOLD, told)
    return len(heard)
