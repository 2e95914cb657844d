"""Keeps each PSP event once, before it is acknowledged, until it is settled.

An event that speaks of a charge we do not know yet stays unsettled (parked) until its attempt is known; then it can
be released. What it told is kept sealed, in our own shapes (shared/told.py); the raw body never is.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, and_, exists, func, or_, select, true, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from shared.domain.outcomes import reference_of
from shared.keyring import Keyring
from shared.psp.port import PspEvent
from shared.store.tables import payment_attempts, psp_events
from shared.told import seal_told


@dataclass(frozen=True, slots=True)
class EventName:
    """The key of one event."""

    tenant_id: UUID
    provider: str
    event_id: str


Place = tuple[datetime, UUID, str, str]
"""Where an event stands among those that wait: by when it was received, and by its name."""


@dataclass(frozen=True, slots=True)
class ParkedEvent:
    """An event that waits: which charge it speaks of and, sealed, what it told."""

    name: EventName
    psp_key: str | None
    psp_reference: str | None
    merchant_reference: str | None
    sealed: bytes


def keep(conn: Connection, keyring: Keyring, tenant_id: UUID, provider: str, event: PspEvent) -> bool:
    """Keep *event*; True if it still has to be settled. A second delivery waits for the first and then sees it."""
    sealed = seal_told(keyring, tenant_id, event.event_id, event.outcome)
    row = conn.execute(
        insert(psp_events)
        .values(
            tenant_id=tenant_id,
            provider=provider,
            event_id=event.event_id,
            merchant_reference=event.merchant_reference,
            psp_key=event.psp_key,
            psp_reference=reference_of(event.outcome),
            kind=event.kind,
            outcome=sealed,
        )
        .on_conflict_do_update(constraint="psp_events_once", set_={"received_at": psp_events.c.received_at})
        .returning(psp_events.c.settled_at)
    ).one()
    return row.settled_at is None


def settled(conn: Connection, name: EventName) -> None:
    """Note that an event has had its effect, in the transaction that gave it."""
    conn.execute(update(psp_events).where(_is(name)).values(settled_at=func.now()))


def releasable(conn: Connection, *, limit: int, after: Place | None = None) -> list[tuple[Place, EventName]]:
    """At most *limit* parked events of which an attempt may be known by now (attempts.told_of says), the oldest first,
    each with its place; those behind the place *after*.

    A question each, so that each is answered by its index: an OR of the three would read every attempt.
    """
    same_account = (payment_attempts.c.tenant_id == psp_events.c.tenant_id) & (
        payment_attempts.c.provider == psp_events.c.provider
    )
    is_named = (
        payment_attempts.c.psp_key == psp_events.c.psp_key,
        payment_attempts.c.psp_reference == psp_events.c.psp_reference,
        (payment_attempts.c.merchant_reference == psp_events.c.merchant_reference)
        & payment_attempts.c.psp_reference.is_(None)
        & psp_events.c.psp_key.is_(None),
    )
    place = (psp_events.c.received_at, psp_events.c.tenant_id, psp_events.c.provider, psp_events.c.event_id)
    rows = conn.execute(
        select(*place)
        .where(psp_events.c.settled_at.is_(None), or_(*(exists().where(same_account, named) for named in is_named)))
        .where(true() if after is None else tuple_(*place) > after)
        .order_by(*place)
        .limit(limit)
    )
    return [((*row,), EventName(*row[1:])) for row in rows]


def take_parked(conn: Connection, name: EventName) -> ParkedEvent | None:
    """The event for this transaction alone; None if it was settled, or somebody else is at it."""
    row = conn.execute(
        select(psp_events.c.psp_key, psp_events.c.psp_reference, psp_events.c.merchant_reference, psp_events.c.outcome)
        .where(_is(name), psp_events.c.settled_at.is_(None))
        .with_for_update(skip_locked=True)
    ).one_or_none()
    return None if row is None else ParkedEvent(name, *row)


def _is(name: EventName) -> ColumnElement[bool]:
    return and_(
        psp_events.c.tenant_id == name.tenant_id,
        psp_events.c.provider == name.provider,
        psp_events.c.event_id == name.event_id,
    )
