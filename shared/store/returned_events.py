"""Has a tenant told that money of an order went back: voided, or refunded."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from sqlalchemy import Connection, Uuid, bindparam, text

from shared.domain.money import Money
from shared.domain.tenant_events import EventKind, TenantEvent, body_of, event_stem
from shared.store.telling import tell

_ORDER: Final = text("""
    SELECT version, correlation_id, customer_urn, clock_timestamp() AS at FROM orders
    WHERE tracking_number = :number AND tenant_id = :tenant
""").bindparams(bindparam("tenant", type_=Uuid))


def tell_returned(
    conn: Connection, tenant_id: UUID, tracking_number: str, *, money: Money, refunded: bool, name: str
) -> None:
    """Tell of *money* in the caller's transaction. *name*: which return of the order it is, the same whoever tells it
    and another one if it is asked for anew."""
    order = conn.execute(_ORDER, {"number": tracking_number, "tenant": tenant_id}).one()
    kind = EventKind.REFUNDED if refunded else EventKind.VOIDED
    body = body_of(
        kind,
        order.at,
        tracking_number=tracking_number,
        correlation_id=order.correlation_id,
        customer_urn=order.customer_urn,
        amount_milpieces=money.amount_minor,
        currency=money.currency,
    )
    event_id = f"{event_stem(tracking_number)}_{name}"
    tell(conn, TenantEvent(tenant_id, event_id, kind, tracking_number, order.version, body))
