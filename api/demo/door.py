"""Who may open the shop page: anybody, where it cannot take real money, and otherwise nobody.

It is off unless C2A_DEMO_KEY and C2A_DEMO_STATUS_KEY name it a tenant (`deploy/up` sets both, production refuses to
start with either). The first key is secret and stays in this process; the second is publishable, may only read where an
order stands, and is given to browsers as such keys are meant to be. Both are development keys. And each account of
that tenant, one that takes no payments now included, has to be at the sandbox: it may be enabled at any moment.

All of it is looked up anew with every request, so that a page closes with its keys, or with the first account
elsewhere. Whoever finds it closed is told what any unknown address tells.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

import structlog
from pydantic import SecretStr
from sqlalchemy import Connection

from api.parts import Parts
from shared.store import accounts, keys, tenancy
from shared.store.engine import statements
from shared.store.keys import KeyRole

log = structlog.get_logger(__name__)

SANDBOX: Final = "sandbox"
"""The only adapter behind which no money moves (shared/psp/sandbox.py)."""


@dataclass(frozen=True, slots=True)
class Shop:
    """The tenant that sells, and the keys it sells with. Only *status_key* may be shown."""

    tenant_id: UUID
    key: str = field(repr=False)
    status_key: str = field(repr=False)


def is_wanted(parts: Parts) -> bool:
    """Whether there is to be a page at all."""
    return parts.settings.demo_key is not None and parts.settings.demo_status_key is not None


def open_shop(parts: Parts) -> Shop | None:
    """The shop, if anybody may open it now; the work that follows acts for its tenant. Raises SQLAlchemyError."""
    key, status_key = _text(parts.settings.demo_key), _text(parts.settings.demo_status_key)
    with statements(parts.engine) as conn:
        tenant_id = _tenant_of(conn, key, KeyRole.STOREFRONT)
        if tenant_id is None or tenant_id != _tenant_of(conn, status_key, KeyRole.READ_ONLY):
            log.warning("demo.closed", why="keys")
            return None
        tenancy.act_for(tenant_id)
        adapters = {account.adapter for account in accounts.listed(conn, tenant_id)}
    if adapters != {SANDBOX}:
        log.warning("demo.closed", why="accounts")
        return None
    return Shop(tenant_id, key, status_key)


def _tenant_of(conn: Connection, key: str, role: KeyRole) -> UUID | None:
    """Whose development key of *role* this is."""
    found = keys.find(conn, key)
    return found.tenant_id if found is not None and found.role is role and not found.live else None


def _text(key: SecretStr | None) -> str:
    return "" if key is None else key.get_secret_value()
