"""Finds PSP events for an operator, by an index: a page of those that wait, those of a charge or of an order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ARRAY, Connection, Text, Uuid, and_, any_, func, or_, select, tuple_, type_coerce
from sqlalchemy.sql import ColumnElement

from shared.store.attempt_stories import AttemptStory
from shared.store.inbox import EventName
from shared.store.tables import psp_accounts, psp_events, tenants

MOST_OF_AN_ORDER: Final = 200
"""Events told of one order: a charge makes a handful."""


@dataclass(frozen=True, slots=True)
class Event:
    """One row of the inbox; *outcome* is sealed."""

    tenant_id: UUID
    provider: str
    event_id: str
    kind: str
    psp_key: str | None
    psp_reference: str | None
    merchant_reference: str | None
    outcome: bytes | None
    received_at: datetime
    settled_at: datetime | None


_COLUMNS: Final = [psp_events.c[field.name] for field in fields(Event)]
Place = tuple[datetime, str]
"""Where a page ended: when its last event was received, and its id."""


def parked(conn: Connection, *, tenant_id: UUID | None, after: Place | None = None, limit: int) -> list[Event]:
    """At most *limit* events that wait, the oldest first."""
    event = psp_events.c
    query = select(*_COLUMNS).where(event.settled_at.is_(None)).order_by(event.received_at, event.event_id).limit(limit)
    if tenant_id is not None:
        query = query.where(event.tenant_id == tenant_id)
    if after is not None:
        query = query.where(tuple_(event.received_at, event.event_id) > after)
    return [Event(*row) for row in conn.execute(query)]


def of_charge(conn: Connection, reference: str, *, tenant_id: UUID | None, limit: int) -> list[Event]:
    """At most *limit* events that speak of the charge a PSP calls *reference*, the oldest first."""
    event = psp_events.c
    mine = (_tenant(tenant_id), event.provider == any_(_providers()), event.psp_reference == reference)
    rows = conn.execute(select(*_COLUMNS).where(*mine).order_by(event.received_at).limit(limit))
    return [Event(*row) for row in rows]


def of_attempts(conn: Connection, tenant_id: UUID, attempts: Sequence[AttemptStory]) -> list[Event]:
    """What PSPs told of *attempts*, the first one first: of their charges, and what waits under their keys."""
    event = psp_events.c
    told_of = [
        and_(event.tenant_id == tenant_id, event.provider == one.provider, named)
        for one in attempts
        for named in (
            event.psp_reference == one.psp_reference if one.psp_reference else None,
            and_(event.psp_key == one.psp_key, event.settled_at.is_(None)),
        )
        if named is not None
    ]
    if not told_of:
        return []
    rows = conn.execute(select(*_COLUMNS).where(or_(*told_of)).order_by(event.received_at).limit(MOST_OF_AN_ORDER))
    return [Event(*row) for row in rows]


def named(conn: Connection, event_id: str, *, tenant_id: UUID | None, limit: int) -> list[Event]:
    """At most *limit* events of this id: one, unless two PSPs or two tenants have the same."""
    event = psp_events.c
    mine = (_tenant(tenant_id), event.provider == any_(_providers()), event.event_id == event_id)
    return [Event(*row) for row in conn.execute(select(*_COLUMNS).where(*mine).limit(limit))]


def lock(conn: Connection, name: EventName) -> Event | None:
    """The event of this name for this transaction alone; waits for whoever settles it at this moment."""
    event = psp_events.c
    mine = (event.tenant_id == name.tenant_id, event.provider == name.provider, event.event_id == name.event_id)
    row = conn.execute(select(*_COLUMNS).where(*mine).with_for_update()).one_or_none()
    return None if row is None else Event(*row)


def _tenant(tenant_id: UUID | None) -> ColumnElement[bool]:
    if tenant_id is not None:
        return psp_events.c.tenant_id == tenant_id
    every = type_coerce(func.array(select(tenants.c.tenant_id).scalar_subquery()), ARRAY(Uuid))
    return psp_events.c.tenant_id == any_(every)


def _providers() -> Any:
    """Every PSP that is known here, so that an index that has it between its columns serves without one."""
    return type_coerce(func.array(select(psp_accounts.c.provider).distinct().scalar_subquery()), ARRAY(Text))
