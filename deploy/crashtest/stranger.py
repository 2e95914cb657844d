"""Somebody of another tenant, with a good key: who names the crowd's orders and must hear of none (I6)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from pydantic import SecretStr

from shared.config import Settings
from shared.store import keys, tenants
from shared.store.engine import create_engine, statements
from shared.store.keys import KeyRole
from shared.store.tenants import Tenant, TenantSettings

TENANT: Final = Tenant(UUID("5c7a4e19-0d2b-4f64-9a83-6b1f0e2d7c95"), "crash test: a stranger", TenantSettings())
"""The same in every run, so that a stack that is tried often has one of them."""
AFTER_THE_RUN: Final = timedelta(hours=1)


def headers(dsn: str, *, seconds: float) -> dict[str, str]:
    """What every call of theirs carries; the key is good for longer than a run of *seconds*."""
    engine = create_engine(Settings.model_validate({"DATABASE_URL": SecretStr(dsn)}))
    try:
        with statements(engine) as conn:
            tenants.save(conn, TENANT)
            ends = datetime.now(UTC) + timedelta(seconds=seconds) + AFTER_THE_RUN
            key = keys.create(conn, TENANT.tenant_id, KeyRole.STOREFRONT, live=False, expires_at=ends)
    finally:
        engine.dispose()
    return {"x-api-key": key, "x-tn": str(TENANT.tenant_id)}
