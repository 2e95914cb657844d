"""What must hold before a process may touch a card or accept an order: its memory closed, keys of its own, a vault that
forgets and a database that does not."""

from __future__ import annotations

from typing import NoReturn

import structlog

from shared import keyrings, memory, vault, vault_server
from shared.config import Mode, Settings
from shared.keyring import Keyring
from shared.keyrings import NoKeyring
from shared.store import durability
from shared.store.durability import UnsafeDatabase
from shared.vault_server import UnsafeVault

log = structlog.get_logger(__name__)


def guarded(settings: Settings) -> Keyring:
    """Close this process's memory and answer its keys; call it once logs are configured and before any fork.

    Raises SystemExit, after the log said why, where there are no keys and, outside development, where the vault's
    server is not fit to hold a card or the database to keep an order. One that is away stops nobody: it comes back.
    """
    memory.close()
    try:
        ring = keyrings.of(settings)
    except NoKeyring as error:
        _refuse(str(error))
    try:
        with vault.connect(settings.vault_url.get_secret_value()) as redis:
            vault_server.examine(redis)
    except UnsafeVault as error:
        if settings.mode is not Mode.DEVELOPMENT:
            _refuse(f"VAULT_URL: {error}")
        log.warning("vault.unsafe", why=str(error))
    try:
        durability.refuse_unsafe(settings)
    except UnsafeDatabase as error:
        _refuse(f"DATABASE_URL: {error}")
    return ring


def _refuse(why: str) -> NoReturn:
    log.critical("start.refused", why=why)
    raise SystemExit(1)
