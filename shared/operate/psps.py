"""What can the PSPs of an order do? Judged from their accounts alone: nobody is called."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from uuid import UUID

from sqlalchemy import Connection

from shared.key_service import KeysAway
from shared.keyring import CannotOpen, Keyring
from shared.psp.factory import UnknownAdapter, psp_for
from shared.psp.port import Capabilities
from shared.store import accounts

Abilities = Mapping[str, Capabilities]
"""By provider; one whose account cannot be read is not there, and nothing is done that rests on it."""


def abilities(conn: Connection, ring: Keyring, tenant_id: UUID, providers: Collection[str]) -> Abilities:
    """What the tenant's accounts at *providers* can do."""
    found: dict[str, Capabilities] = {}
    for provider in sorted(providers):
        try:
            account = accounts.get(conn, ring, tenant_id, provider)
            if account is not None:
                found[provider] = psp_for(account).capabilities
        except (CannotOpen, KeysAway, UnknownAdapter):
            continue  # Its account is for `c2a psps check` to explain.
    return found
