"""What the rows say of one order beyond its own: its moves, who holds it, and its offer's hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, Select, select

from shared.store.orders import Order
from shared.store.tables import offer_holds, order_events, orders

MOST_EVENTS: Final = 2_000
"""Moves shown of one order: one whose PSP was away for a day makes some hundred."""
PAGE: Final = 1_000
"""Moves a statement, where all of them are read."""


@dataclass(frozen=True, slots=True)
class Move:
    """One row of an order's story, with names as they were written: a version before ours may have had others."""

    version: int
    event: str
    state: str
    actor: str
    attempt_no: int | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Lease:
    """Who works on an order, and until when: unrenewed, and at most."""

    lease_owner: str
    lease_until: datetime
    lease_limit: datetime | None


def moves(conn: Connection, tenant_id: UUID, tracking_number: str) -> list[Move]:
    """The moves of an order, the first one first; of very many the latest, for how it stands is what is looked for."""
    rows = conn.execute(
        _of_order(tenant_id, tracking_number).order_by(order_events.c.version.desc()).limit(MOST_EVENTS)
    )
    return [Move(*row) for row in rows][::-1]


def every_move(conn: Connection, tenant_id: UUID, tracking_number: str) -> Iterator[Move]:
    """All the moves of an order, the first one first, read a page at a time: on a connection that shows one moment."""
    last = 0
    while True:
        behind = _of_order(tenant_id, tracking_number).where(order_events.c.version > last)
        page = [Move(*row) for row in conn.execute(behind.order_by(order_events.c.version).limit(PAGE))]
        yield from page
        if len(page) < PAGE:
            return
        last = page[-1].version


def _of_order(tenant_id: UUID, tracking_number: str) -> Select[Any]:
    return select(*(order_events.c[field.name] for field in fields(Move))).where(
        order_events.c.tenant_id == tenant_id, order_events.c.tracking_number == tracking_number
    )


def lease(conn: Connection, order: Order) -> Lease | None:
    """The lease on *order*, over or not; None if nobody has one."""
    row = conn.execute(
        select(orders.c.lease_owner, orders.c.lease_until, orders.c.lease_limit).where(
            orders.c.tracking_number == order.tracking_number,
            orders.c.tenant_id == order.tenant_id,
            orders.c.lease_until.is_not(None),
        )
    ).one_or_none()
    return None if row is None else Lease(*row)


def holder(conn: Connection, order: Order) -> str | None:
    """Which order holds the single-use offer of *order*; None if nobody does."""
    return conn.execute(
        select(offer_holds.c.tracking_number).where(
            offer_holds.c.tenant_id == order.tenant_id, offer_holds.c.offer_identifier == order.offer_identifier
        )
    ).scalar_one_or_none()
