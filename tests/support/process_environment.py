"""The environment by which a process of the product, started by a test, reads that test's settings."""

from __future__ import annotations

import os

from shared.config import Settings


def of(settings: Settings) -> dict[str, str]:
    """Ours, with the servers, the keyring and the waits of *settings*."""
    return os.environ | {
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "BROKER_URL": settings.broker_url.get_secret_value(),
        "VAULT_URL": settings.vault_url.get_secret_value(),
        "C2A_PUBLIC_URL": settings.public_url,
        "C2A_KEYRING": str(settings.keyring or ""),
        "C2A_LEASE_S": str(settings.lease_s),
        "C2A_CHALLENGE_LIFE_S": str(settings.challenge_life_s),
        "C2A_POOL_SIZE": str(settings.pool_size),
        "C2A_DECLINES_PER_CUSTOMER": str(settings.declines_per_customer),
    }
