"""Gives the stack its demo tenant: keys, limits for load tests, something to sell, and an account at its PSP.

Everything is made once and then left as somebody may have changed it. The keys' text exists only where it was
shown, so it is kept in the stack's own folder. The PSP is told of its account at every start: its address changes
with the port of the API.
"""

from __future__ import annotations

import json
import secrets
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine

from deploy.stack.home import Home, write_json
from deploy.stack.product import Wiring
from deploy.stack.psps import PSPS, StackPsp
from shared.keyring import CannotOpen, Keyring
from shared.psp.port import Account, Channel
from shared.store import accounts, catalogue, keys, tenants
from shared.store.catalogue_documents import MODEL_OF, CatalogueDocument
from shared.store.keys import KeyRole
from shared.store.tenants import MOST_PER_MINUTE, Tenant, TenantSettings

TENANT_ID: Final = uuid.UUID("e2a1c7b2-4f3a-4b8e-9c2d-1a2b3c4d5e6f")
"""The tenant of the published examples."""
CATALOGUE: Final = Path(__file__).with_name("demo-catalogue.jsonl")
UNLIMITED: Final = TenantSettings(
    changes_per_minute=MOST_PER_MINUTE,
    changes_burst=MOST_PER_MINUTE,
    status_per_minute=MOST_PER_MINUTE,
    status_burst=MOST_PER_MINUTE,
    default_storefront="st.00.001",
)
"""So that load can be tried: no limit of ours is met before the machine's."""


@dataclass(frozen=True, slots=True)
class Seeded:
    """The demo tenant, and what is needed to act for it."""

    tenant_id: uuid.UUID
    api_key: str = field(repr=False)
    operator_key: str = field(repr=False)
    account: Account


def seed(home: Home, engine: Engine, keyring: Keyring, wiring: Wiring, psp: StackPsp) -> Seeded:
    """Make what is missing of the demo tenant."""
    file = home.path / "keys.json"
    kept: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
    with engine.begin() as conn:
        if tenants.get(conn, TENANT_ID) is None:
            tenants.save(conn, Tenant(TENANT_ID, "demo", UNLIMITED))
            catalogue.replace(conn, TENANT_ID, [demo_catalogue()])
        roles = (KeyRole.STOREFRONT, KeyRole.OPERATOR)
        told = {role.value: kept_key(conn, TENANT_ID, role, kept.get(role.value)) for role in roles}
        account = _account(conn, keyring, wiring, psp)
    write_json(file, told)
    return Seeded(TENANT_ID, told[KeyRole.STOREFRONT], told[KeyRole.OPERATOR], account)


def kept_key(conn: Connection, tenant_id: uuid.UUID, role: KeyRole, kept: str | None) -> str:
    """The key that was *kept*, if this database knows it; else a new one of the tenant."""
    if kept is not None and keys.find(conn, kept) is not None:
        return kept
    return keys.create(conn, tenant_id, role, live=False)


def _account(conn: Connection, keyring: Keyring, wiring: Wiring, psp: StackPsp) -> Account:
    """The account at *psp*, open for orders; one at the other PSP, from an earlier start, is closed for them."""
    for name in PSPS.keys() - {psp.name}:
        other = _known(conn, keyring, TENANT_ID, name)
        if other is not None:
            accounts.save(conn, keyring, other, enabled=False)
    return account_at(psp, conn, keyring, TENANT_ID, wiring)


def account_at(psp: StackPsp, conn: Connection, keyring: Keyring, tenant_id: uuid.UUID, wiring: Wiring) -> Account:
    """The tenant's account at *psp*, open for orders: the one it had, at its present address, or a new one."""
    known = _known(conn, keyring, tenant_id, psp.name)
    account = Account(
        tenant_id=str(tenant_id),
        provider=psp.name,
        account_id=known.account_id if known else secrets.token_urlsafe(16),
        adapter=psp.name,
        base_url=wiring.psp_url,
        channels=frozenset(Channel),
        credentials=known.credentials if known else psp.fresh_credentials(),
    )
    accounts.save(conn, keyring, account)
    return account


def _known(conn: Connection, keyring: Keyring, tenant_id: uuid.UUID, provider: str) -> Account | None:
    try:
        return accounts.get(conn, keyring, tenant_id, provider)
    except CannotOpen:
        return None  # Sealed by a keyring that was forgotten with the rest of the home: nobody can use it any more.


def demo_catalogue() -> list[CatalogueDocument]:
    """What the stack's tenants sell."""
    lines = CATALOGUE.read_text().splitlines()
    return [MODEL_OF[json.loads(line)["kind"]].model_validate_json(line) for line in lines]
