"""How stored payment methods are kept: what a PSP keeps for a customer, under a name of ours.

A method is named pm.<customer without "cu.">.<n>, n counted per that stem under a lock that ends with the
transaction, so that two adds at once make two names. The token is sealed to its row; a deleted method has none.
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, Row, func, insert, select, update

from shared.domain.outcomes import KeptMethod
from shared.domain.tenant_events import EventKind, TenantEvent, body_of
from shared.keyring import Keyring
from shared.psp.port import Channel
from shared.store import customers
from shared.store.tables import stored_methods as kept_methods
from shared.store.telling import tell

MOST_LISTED: Final = 100
"""The newest methods of a customer that a list shows; nobody chooses among more."""


_NOT_DELETED: Final = kept_methods.c.state != "Deleted"


class MethodState(StrEnum):
    """state of contract section 5."""

    ACTIVE = "Active"
    INACTIVE = "Inactive"
    DELETED = "Deleted"


@dataclass(frozen=True, slots=True)
class StoredMethod:
    """What a tenant may know of a stored method; *provider* and the order are ours to know."""

    method_urn: str
    customer_urn: str
    channel: Channel
    provider: str
    masked_number: str | None
    card_type: str | None
    expire_month: str | None
    expire_year: str | None
    alias: str | None
    state: MethodState
    stored_at: datetime


_SHOWN: Final = tuple(kept_methods.c[field.name] for field in fields(StoredMethod))


@dataclass(frozen=True, slots=True)
class StoredToken:
    """What a PSP needs to charge or forget a stored method."""

    provider: str
    token: str
    channel: Channel

    def __repr__(self) -> str:
        return f"StoredToken({self.provider})"


def store(
    conn: Connection,
    keyring: Keyring,
    tenant_id: uuid.UUID,
    customer_urn: str,
    channel: Channel,
    provider: str,
    kept: KeptMethod,
    *,
    alias: str | None,
    tracking_number: str | None,
) -> str:
    """Keep what *provider* kept and answer its URN; an order (*tracking_number*) stores one method, ever.

    Must run in a transaction: the lock that counts the URN up ends with it.
    """
    stem = f"pm.{customer_urn.removeprefix('cu.')}."
    conn.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"methods:{tenant_id}:{stem}", 0))))
    earlier = tracking_number and _of_order(conn, tenant_id, tracking_number)
    if earlier:
        return earlier
    conn.execute(customers.knowing(tenant_id, customer_urn))
    number = _next_number(conn, tenant_id, stem)
    method_urn = f"{stem}{number}"
    stored_at = conn.execute(
        insert(kept_methods)
        .values(
            tenant_id=tenant_id,
            method_urn=method_urn,
            customer_urn=customer_urn,
            number=number,
            channel=channel.value,
            provider=provider,
            token=keyring.seal(kept.token.encode(), bound_to=bound_to(tenant_id, method_urn)),
            masked_number=kept.masked_number,
            card_type=kept.card_type,
            expire_month=kept.expire_month,
            expire_year=kept.expire_year,
            alias=alias,
            tracking_number=tracking_number,
        )
        .returning(kept_methods.c.stored_at)
    ).scalar_one()
    if tracking_number is None:  # Else the order's move tells.
        _tell_stored(conn, tenant_id, method_urn, customer_urn, channel, stored_at)
    return method_urn


def _tell_stored(
    conn: Connection, tenant_id: uuid.UUID, method_urn: str, customer_urn: str, channel: Channel, at: datetime
) -> None:
    kind = EventKind.METHOD_STORED
    named = {"payment_method_urn": method_urn, "customer_urn": customer_urn, "payment_channel": channel.value}
    # No full stop may be in an id, and a URN is full of them.
    event_id = f"evt_{hashlib.sha256(f'{tenant_id}:{method_urn}'.encode()).hexdigest()[:32]}"
    tell(conn, TenantEvent(tenant_id, event_id, kind, method_urn, 1, body_of(kind, at, **named)))


def get(conn: Connection, tenant_id: uuid.UUID, method_urn: str) -> StoredMethod | None:
    """The tenant's method of this URN, unless it is deleted."""
    row = conn.execute(
        select(*_SHOWN).where(
            kept_methods.c.tenant_id == tenant_id, kept_methods.c.method_urn == method_urn, _NOT_DELETED
        )
    ).one_or_none()
    return None if row is None else _method(row)


def list_of(conn: Connection, tenant_id: uuid.UUID, customer_urn: str) -> list[StoredMethod]:
    """The customer's methods that are not deleted, newest first."""
    rows = conn.execute(
        select(*_SHOWN)
        .where(kept_methods.c.tenant_id == tenant_id, kept_methods.c.customer_urn == customer_urn, _NOT_DELETED)
        .order_by(kept_methods.c.number.desc(), kept_methods.c.method_urn.desc())
        .limit(MOST_LISTED)
    )
    return [_method(row) for row in rows]


def token_of(conn: Connection, keyring: Keyring, tenant_id: uuid.UUID, method_urn: str) -> StoredToken | None:
    """The token of a method that is Active or Inactive: an order that was admitted with it may still be paid."""
    row = conn.execute(
        select(kept_methods.c.provider, kept_methods.c.token, kept_methods.c.channel).where(
            kept_methods.c.tenant_id == tenant_id, kept_methods.c.method_urn == method_urn, _NOT_DELETED
        )
    ).one_or_none()
    if row is None:
        return None
    token = keyring.open(row.token, bound_to=bound_to(tenant_id, method_urn)).decode()
    return StoredToken(row.provider, token, Channel(row.channel))


def set_state(conn: Connection, tenant_id: uuid.UUID, method_urn: str, state: MethodState) -> StoredMethod | None:
    """Make the method Active or Inactive (again); None if there is none."""
    row = conn.execute(
        update(kept_methods)
        .where(kept_methods.c.tenant_id == tenant_id, kept_methods.c.method_urn == method_urn, _NOT_DELETED)
        .values(state=state.value)
        .returning(*_SHOWN)
    ).one_or_none()
    return None if row is None else _method(row)


def mark_deleted(conn: Connection, tenant_id: uuid.UUID, method_urn: str) -> StoredMethod | None:
    """Drop the token and end the method; None if somebody else did already. The PSP must have forgotten it before."""
    row = conn.execute(
        update(kept_methods)
        .where(kept_methods.c.tenant_id == tenant_id, kept_methods.c.method_urn == method_urn, _NOT_DELETED)
        .values(state=MethodState.DELETED.value, token=None)
        .returning(*_SHOWN)
    ).one_or_none()
    return None if row is None else _method(row)


def _method(row: Row[Any]) -> StoredMethod:
    shown = row._asdict() | {"channel": Channel(row.channel), "state": MethodState(row.state)}
    return StoredMethod(**shown)


def _of_order(conn: Connection, tenant_id: uuid.UUID, tracking_number: str) -> str | None:
    return conn.execute(
        select(kept_methods.c.method_urn).where(
            kept_methods.c.tenant_id == tenant_id, kept_methods.c.tracking_number == tracking_number
        )
    ).scalar_one_or_none()


def _next_number(conn: Connection, tenant_id: uuid.UUID, stem: str) -> int:
    # "cu.482" and "482" share a stem. Deleted methods count too, so that no URN is ever given twice.
    bare = stem.removeprefix("pm.").removesuffix(".")
    last = conn.execute(
        select(func.max(kept_methods.c.number)).where(
            kept_methods.c.tenant_id == tenant_id, kept_methods.c.customer_urn.in_([bare, f"cu.{bare}"])
        )
    ).scalar_one()
    return (last or 0) + 1


def bound_to(tenant_id: uuid.UUID, method_urn: str) -> str:
    """Where a method's token opens."""
    return f"method:{tenant_id}:{method_urn}"
