"""Which endpoints a tenant has for its events, their secrets sealed, and how each of them is doing."""

from __future__ import annotations

import secrets as randomness
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, Interval, func, insert, literal, null, select, update

from shared.domain.tenant_events import SUSPECT_AFTER, EventKind
from shared.keyring import Keyring
from shared.store.tables import event_deliveries, event_endpoints

SECRET_BYTES: Final = 32
"""Standard Webhooks asks for 24 to 64 random bytes; the hash of its signature gives 32."""
MOST: Final = 16
"""Endpoints a tenant may have: each is sent every event, and more than a few are somebody's loop."""

_column: Final = event_endpoints.c


class NoSuchEndpoint(LookupError):
    """The tenant has no endpoint of this id."""


class TooMany(ValueError):
    """The tenant has as many endpoints as one may have."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint as it may be shown: all of it but its secrets."""

    endpoint_id: str
    url: str
    kinds: list[str]
    state: str
    paused_why: str | None
    failures: int
    failing_since: datetime | None
    held_until: datetime | None
    secret_before_until: datetime | None
    created_at: datetime


_SHOWN: Final = tuple(_column[field.name] for field in fields(Endpoint))


def add(
    conn: Connection, keyring: Keyring, tenant_id: UUID, url: str, kinds: Iterable[EventKind]
) -> tuple[Endpoint, str]:
    """A new endpoint for *kinds* and its secret, which is shown this once. The *url* was judged (shared/urls.py).

    Raises TooMany.
    """
    conn.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"endpoints:{tenant_id}", 0))))
    if len(listed(conn, tenant_id)) >= MOST:
        raise TooMany(f"a tenant has {MOST} endpoints at most")
    endpoint_id, secret = f"ep_{randomness.token_hex(8)}", _new_secret()
    values = {
        "tenant_id": tenant_id,
        "endpoint_id": endpoint_id,
        "url": url,
        "kinds": sorted(kind.value for kind in kinds),
        "secret": keyring.seal(secret.encode(), bound_to=bound_to(tenant_id, endpoint_id)),
    }
    row = conn.execute(insert(event_endpoints).values(values).returning(*_SHOWN)).one()
    return Endpoint(*row), secret


def listed(conn: Connection, tenant_id: UUID) -> list[Endpoint]:
    """The tenant's endpoints, the oldest first."""
    rows = conn.execute(
        select(*_SHOWN)
        .where(_column.tenant_id == tenant_id, _column.state != "removed")
        .order_by(_column.created_at, _column.endpoint_id)
    )
    return [Endpoint(*row) for row in rows]


def need(conn: Connection, tenant_id: UUID, endpoint_id: str) -> None:
    """Raises NoSuchEndpoint if the tenant has none of this id, or it was removed."""
    if all(one.endpoint_id != endpoint_id for one in listed(conn, tenant_id)):
        raise NoSuchEndpoint


def rotate(conn: Connection, keyring: Keyring, tenant_id: UUID, endpoint_id: str, *, overlap: timedelta) -> str:
    """A new secret, shown this once; the one before signs beside it for *overlap*. Raises NoSuchEndpoint."""
    secret = _new_secret()
    values = {
        "secret": keyring.seal(secret.encode(), bound_to=bound_to(tenant_id, endpoint_id)),
        "secret_before": _column.secret,
        "secret_before_until": func.now() + literal(overlap, Interval),
    }
    _change(conn, tenant_id, endpoint_id, values)
    return secret


def pause(conn: Connection, tenant_id: UUID, endpoint_id: str) -> None:
    """Send it nothing until it is resumed; its events wait. Raises NoSuchEndpoint."""
    _change(conn, tenant_id, endpoint_id, {"state": "paused", "paused_why": "operator"})


def resume(conn: Connection, tenant_id: UUID, endpoint_id: str) -> None:
    """Send it what waits, one event first: it may still be dead. Raises NoSuchEndpoint."""
    values = {
        "state": "active",
        "paused_why": null(),
        "failures": func.least(_column.failures, SUSPECT_AFTER),
        "holds": 0,
        "failing_since": null(),
        "held_until": null(),
    }
    _change(conn, tenant_id, endpoint_id, values)
    column = event_deliveries.c
    mine = (column.tenant_id == tenant_id) & (column.endpoint_id == endpoint_id) & (column.state == "waiting")
    conn.execute(update(event_deliveries).where(mine, column.due_at > func.now()).values(due_at=func.now()))


def remove(conn: Connection, tenant_id: UUID, endpoint_id: str) -> None:
    """Forget its secrets and tell it nothing more. Raises NoSuchEndpoint."""
    values = {"state": "removed", "secret": null(), "secret_before": null(), "secret_before_until": null()}
    _change(conn, tenant_id, endpoint_id, values)


def _change(conn: Connection, tenant_id: UUID, endpoint_id: str, values: dict[str, Any]) -> None:
    mine = (_column.tenant_id == tenant_id) & (_column.endpoint_id == endpoint_id) & (_column.state != "removed")
    changed = update(event_endpoints).where(mine).values(values).returning(_column.endpoint_id)
    if conn.execute(changed).one_or_none() is None:
        raise NoSuchEndpoint


def _new_secret() -> str:
    return f"whsec_{b64encode(randomness.token_bytes(SECRET_BYTES)).decode()}"


def bound_to(tenant_id: UUID, endpoint_id: str) -> str:
    """Where an endpoint's secrets open."""
    return f"endpoint:{tenant_id}:{endpoint_id}"
