"""Finds orders for an operator: by a name they have, or by state and time; always a page, always by an index.

A tracking number begins with the time it was minted at, so the newest orders are the end of the primary key, a time is
a bound of it, and a page goes on where the last one ended. A search that names nothing an index leads to must name a
time (operate/search.py sees to it).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    Text,
    Uuid,
    and_,
    any_,
    func,
    or_,
    select,
    text,
    tuple_,
    type_coerce,
)

from shared.domain.states import TERMINAL, OrderState
from shared.ids import first_number_at
from shared.store.tables import orders, payment_attempts, psp_accounts, tenants

LIVE: Final = frozenset(OrderState) - TERMINAL


@dataclass(frozen=True, slots=True)
class Found:
    """One order as a list shows it."""

    tenant_id: UUID
    tracking_number: str
    state: OrderState
    amount_minor: int | None
    currency: str | None
    channel: str
    customer_urn: str
    correlation_id: str | None
    failure: str | None
    parked: bool
    rings: int
    waits_for: str | None
    due_at: datetime | None
    admitted_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for; everything that is named must hold. *tenant_id* None: of all tenants.

    *stuck*: live, and parked, or overdue by a minute, or where it is for a quarter of an hour without a time of its
    own (a challenge or a pending payment has one). *since* and *until*: when it was admitted.
    """

    tenant_id: UUID | None = None
    tracking_number: str | None = None
    correlation_id: str | None = None
    customer_urn: str | None = None
    psp_reference: str | None = None
    states: frozenset[OrderState] = frozenset()
    stuck: bool = False
    since: datetime | None = None
    until: datetime | None = None

    @property
    def is_live(self) -> bool:
        """Whether only orders are meant that have not ended: of these there are few."""
        return self.stuck or (bool(self.states) and self.states <= LIVE)


_COLUMNS: Final = [orders.c[field.name] for field in fields(Found)]


def search(conn: Connection, wanted: Wanted, *, before: str | None = None, limit: int) -> list[Found]:
    """At most *limit* orders, the newest first; *before*: the tracking number that the last page ended with."""
    query = select(*_COLUMNS).where(*_conditions(wanted))
    if before is not None:
        query = query.where(orders.c.tracking_number < before)
    if wanted.is_live:
        # Found first and sorted then: in the order of their numbers all that ever ended would be walked past.
        live = query.cte("live").prefix_with("MATERIALIZED")
        query = select(*live.c).order_by(live.c.tracking_number.desc()).limit(limit)
    else:
        query = query.order_by(orders.c.tracking_number.desc()).limit(limit)
    return [Found(**(dict(row._mapping) | {"state": OrderState(row.state)})) for row in conn.execute(query)]


def _conditions(wanted: Wanted) -> Iterator[ColumnElement[bool]]:
    if wanted.tracking_number is not None:
        yield orders.c.tracking_number == wanted.tracking_number
    if wanted.correlation_id is not None or wanted.customer_urn is not None or wanted.tenant_id is not None:
        yield _of_tenants(orders.c.tenant_id, wanted.tenant_id)
    if wanted.correlation_id is not None:
        yield orders.c.correlation_id == wanted.correlation_id
    if wanted.customer_urn is not None:
        yield orders.c.customer_urn == wanted.customer_urn
    if wanted.psp_reference is not None:
        yield _charged_as(wanted.psp_reference, wanted.tenant_id)
    states = wanted.states or (LIVE if wanted.is_live else ())
    if states:
        yield orders.c.state.in_(sorted(state.value for state in states))
    if wanted.is_live:
        yield orders.c.due_at.is_not(None)
    if wanted.stuck:
        yield _is_stuck()
    if wanted.since is not None:
        yield orders.c.tracking_number >= first_number_at(wanted.since)
    if wanted.until is not None:
        yield orders.c.tracking_number < first_number_at(wanted.until)


def _of_tenants(column: Any, tenant_id: UUID | None) -> ColumnElement[bool]:
    """An index begins with the tenant: without one, each tenant's part of it is asked."""
    if tenant_id is not None:
        return column == tenant_id  # type: ignore[no-any-return]
    every = func.array(select(tenants.c.tenant_id).scalar_subquery())
    return column == any_(type_coerce(every, ARRAY(Uuid)))  # type: ignore[no-any-return]


def _charged_as(reference: str, tenant_id: UUID | None) -> ColumnElement[bool]:
    attempt = payment_attempts.c
    providers = func.array(select(psp_accounts.c.provider).distinct().scalar_subquery())
    charged = select(attempt.tracking_number, attempt.tenant_id).where(
        _of_tenants(attempt.tenant_id, tenant_id),
        attempt.provider == any_(type_coerce(providers, ARRAY(Text))),
        attempt.psp_reference == reference,
    )
    return tuple_(orders.c.tracking_number, orders.c.tenant_id).in_(charged)


def _is_stuck() -> ColumnElement[bool]:
    has_time = and_(orders.c.deadline_at.is_not(None), orders.c.deadline_at > func.now())
    is_old = orders.c.changed_at < func.now() - text("interval '15 min'")
    is_late = orders.c.due_at < func.now() - text("interval '1 min'")
    return or_(orders.c.parked, is_late, and_(is_old, ~has_time))
