"""Beside the sandbox, the tenant gets an account at a PSP that answers inside the worker's own process."""

from __future__ import annotations

from typing import Final

from deploy.measure.at_once import PROVIDER
from deploy.stack.product import Wiring
from deploy.stack.seed import Seeded
from shared import keyring
from shared.config import Settings
from shared.psp.port import Account, Channel
from shared.store import accounts
from shared.store.engine import create_engine

LAST: Final = 1_000
"""Its rank: an order that forces no PSP goes to the sandbox."""


def open_at_once(wiring: Wiring, seeded: Seeded) -> None:
    """Open it."""
    account = Account(
        tenant_id=str(seeded.tenant_id),
        provider=PROVIDER,
        account_id=f"{PROVIDER}-{seeded.account.account_id}",
        adapter=PROVIDER,
        base_url="",
        channels=frozenset(Channel),
        credentials={},
    )
    engine = create_engine(Settings.model_validate(wiring.settings()))
    with engine.begin() as conn:
        accounts.save(conn, keyring.load(wiring.keyring), account, rank=LAST)
    engine.dispose()
