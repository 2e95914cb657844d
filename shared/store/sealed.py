"""Where sealed values stand in the database, and how many of them a key still opens.

Column by column, tenant by tenant and page by page: no statement takes long, however much is kept. A value is
replaced only if it still is what was read: whoever wrote it anew meanwhile has sealed it himself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Column, Connection, literal, select, tuple_, update

from shared import brought, kept, told
from shared.keyring import sealed_under
from shared.store import accounts, endpoints, methods
from shared.store.tables import event_endpoints, payment_attempts, psp_accounts, psp_events, stored_methods

PAGE: Final = 500
"""Values a statement: some 100 kB."""

Key = tuple[Any, ...]
"""A row's primary key."""


@dataclass(frozen=True, slots=True)
class SealedColumn:
    """A column of sealed values, and where the value of the row with a key opens."""

    column: Column[Any]
    place: Callable[..., str]

    @property
    def key(self) -> list[Column[Any]]:
        """The columns of the primary key, in its order."""
        return list(self.column.table.primary_key.columns)

    def bound_to(self, key: Key) -> str:
        """Where the value of that row opens."""
        return self.place(*key)


COLUMNS: Final = (
    SealedColumn(psp_accounts.c.credentials, accounts.bound_to),
    SealedColumn(stored_methods.c.token, methods.bound_to),
    SealedColumn(payment_attempts.c.kept_token, kept.bound_to),
    SealedColumn(payment_attempts.c.brought, brought.bound_to),
    SealedColumn(psp_events.c.outcome, lambda tenant_id, _provider, event_id: told.bound_to(tenant_id, event_id)),
    SealedColumn(event_endpoints.c.secret, endpoints.bound_to),
    SealedColumn(event_endpoints.c.secret_before, endpoints.bound_to),
)


def values(conn: Connection, where: SealedColumn, tenant_id: UUID) -> Iterator[list[tuple[Key, bytes]]]:
    """A tenant's sealed values in that column, as (key, value), page by page."""
    after: Key | None = None
    while page := _page(conn, where, tenant_id, after):
        yield page
        after = page[-1][0]


def _page(conn: Connection, where: SealedColumn, tenant_id: UUID, after: Key | None) -> list[tuple[Key, bytes]]:
    query = select(*where.key, where.column).where(
        where.column.table.c.tenant_id == tenant_id, where.column.is_not(None)
    )
    if after is not None:
        past = tuple_(*map(literal, after, [column.type for column in where.key]))
        query = query.where(tuple_(*where.key) > past)
    return [(tuple(row[:-1]), row[-1]) for row in conn.execute(query.order_by(*where.key).limit(PAGE))]


def replace(conn: Connection, where: SealedColumn, key: Key, *, old: bytes, new: bytes) -> bool:
    """Put *new* where *old* is; False if *old* is there no more."""
    row = [column == value for column, value in zip(where.key, key, strict=True)]
    changed = update(where.column.table).where(*row, where.column == old).values({where.column: new})
    return conn.execute(changed.returning(*where.key)).one_or_none() is not None


def count_under(conn: Connection, tenant_id: UUID, key_id: str) -> int:
    """How many of a tenant's values only the key *key_id* opens."""
    starts = (sealed_under(key_id), f"{key_id}.".encode())
    pages = (page for where in COLUMNS for page in values(conn, where, tenant_id))
    return sum(value.startswith(starts) for page in pages for _, value in page)
