"""Whom a tenant's customers are known to us as: whoever an offer was resolved for or a method is kept of."""

from __future__ import annotations

import uuid

from sqlalchemy import Connection, Select, select
from sqlalchemy.dialects.postgresql import Insert, insert

from shared.store.tables import customers


def knowing(tenant_id: uuid.UUID, customer_urn: str) -> Insert:
    """The statement that makes the customer known; to be run by itself or as part of another."""
    return insert(customers).values(tenant_id=tenant_id, customer_urn=customer_urn).on_conflict_do_nothing()


def knowing_each(rows: Select[tuple[uuid.UUID, str]]) -> Insert:
    """The same for every (tenant_id, customer_urn) of *rows*."""
    columns = [customers.c.tenant_id, customers.c.customer_urn]
    return insert(customers).from_select(columns, rows).on_conflict_do_nothing()


def is_known(conn: Connection, tenant_id: uuid.UUID, customer_urn: str) -> bool:
    """Whether we ever met the customer."""
    found = conn.execute(
        select(customers.c.customer_urn).where(
            customers.c.tenant_id == tenant_id, customers.c.customer_urn == customer_urn
        )
    )
    return found.one_or_none() is not None
