"""Opens the shop page at /demo: a tenant of its own that sells at the sandbox PSP, and the keys that switch it on.

Not the demo tenant: that one is what the published examples and the tests drive, its shoppers come back to the plain
page, and it may have had an account at another PSP. Where the stack pays at another PSP there is no page.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Engine

from deploy.stack.home import Home, write_json
from deploy.stack.product import Wiring
from deploy.stack.psps import SANDBOX, StackPsp
from deploy.stack.seed import account_at, demo_catalogue, kept_key
from shared.keyring import Keyring
from shared.psp.port import Account
from shared.store import catalogue, tenants
from shared.store.keys import KeyRole
from shared.store.tenants import Tenant, TenantSettings

TENANT_ID: Final = uuid.UUID("5b0b9c52-2c1e-4c55-9b7a-6f3d8a1e0d42")
"""Drawn at random, once: the page's orders are found again after a restart."""
NAME: Final = "demo shop"
ROLES: Final = {"C2A_DEMO_KEY": KeyRole.STOREFRONT, "C2A_DEMO_STATUS_KEY": KeyRole.READ_ONLY}
"""By the settings that switch the page on (shared/config.py)."""
CHANGES_PER_MINUTE: Final = 1_200
"""A visit takes two or three calls and an order one: four visits a second. Anybody may come, so there is a limit."""
CHANGES_BURST: Final = 200


@dataclass(frozen=True, slots=True)
class ShopPage:
    """A shop page that is to be served. *settings*: of the API alone."""

    account: Account
    url: str
    settings: dict[str, str] = field(repr=False)


def opened(home: Home, engine: Engine, keyring: Keyring, wiring: Wiring, psp: StackPsp) -> ShopPage | None:
    """The page's tenant as it must be for this start, made where it is missing; None where *psp* is no sandbox."""
    if psp is not SANDBOX:
        return None
    url, file = f"{wiring.base_url}/demo", home.path / "shop-keys.json"
    kept: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
    with engine.begin() as conn:
        is_new = tenants.get(conn, TENANT_ID) is None
        tenants.save(conn, _tenant(url))  # Each time: the way back follows the port of the API.
        if is_new:
            catalogue.replace(conn, TENANT_ID, [demo_catalogue()])
        settings = {name: kept_key(conn, TENANT_ID, role, kept.get(name)) for name, role in ROLES.items()}
        account = account_at(psp, conn, keyring, TENANT_ID, wiring)
    write_json(file, settings)
    return ShopPage(account, url, settings)


def _tenant(url: str) -> Tenant:
    limits = TenantSettings(
        changes_per_minute=CHANGES_PER_MINUTE,
        changes_burst=CHANGES_BURST,
        return_url=f"{url}/return",
        default_storefront="st.00.001",
    )
    return Tenant(TENANT_ID, NAME, limits)
