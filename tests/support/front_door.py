"""The front door on this module's servers, and a key that opens it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from flask import Blueprint, Flask
from flask.testing import FlaskClient
from redis import Redis
from sqlalchemy import Engine

from api.app import create_app
from api.parts import Parts
from shared import keyring
from shared.config import Settings
from shared.keyring import Keyring
from shared.store import keys, tenants
from shared.store.engine import create_engine, statements
from shared.store.keys import KeyRole
from shared.store.row_security import Role
from shared.store.tenants import Tenant, TenantSettings

TENANT: Final = uuid.UUID("e2a1c7b2-4f3a-4b8e-9c2d-1a2b3c4d5e6f")
"""The tenant of the published examples."""
ROOMY: Final = TenantSettings(
    changes_per_minute=1_000_000, changes_burst=1_000_000, status_per_minute=1_000_000, status_burst=1_000_000
)
"""Limits that no test meets by accident."""


@dataclass(frozen=True, slots=True)
class Shop:
    """A tenant with a key, as a storefront has them."""

    tenant_id: uuid.UUID
    key: str

    @property
    def headers(self) -> dict[str, str]:
        """What every call of this shop carries."""
        return {"x-api-key": self.key, "x-tn": str(self.tenant_id)}


def parts_for(settings: Settings, engine: Engine, redis: Redis, ring: Keyring | None = None) -> Parts:
    """The parts of an API process on these servers, with *ring* or a keyring of its own, and the real clock."""
    return Parts(settings, engine, redis, ring or keyring.fresh(), lambda: datetime.now(UTC))


@contextmanager
def api_parts(settings: Settings, vault_url: str, ring: Keyring | None = None) -> Iterator[Parts]:
    """The same with the rights that the API has in the database."""
    front = create_engine(settings, role=Role.API)
    with Redis.from_url(vault_url) as redis:
        parts = parts_for(settings, front, redis, ring)
        yield parts
        parts.doorbell.close()
    front.dispose()


def a_shop(
    engine: Engine,
    tenant_id: uuid.UUID | None = None,
    *,
    role: KeyRole = KeyRole.STOREFRONT,
    live: bool = False,
    limits: TenantSettings = ROOMY,
) -> Shop:
    """A tenant, made if it is not there, and a new key of it."""
    tenant = Tenant(tenant_id or uuid.uuid4(), "A shop", limits)
    with engine.begin() as conn:
        tenants.save(conn, tenant)
    with statements(engine) as conn:
        return Shop(tenant.tenant_id, keys.create(conn, tenant.tenant_id, role, live=live))


@contextmanager
def opened(parts: Parts, *extra: Blueprint) -> Iterator[FlaskClient]:
    """A client of the real app over *parts*."""
    app: Flask = create_app(parts, *extra)
    with app.test_client() as client:
        yield client
