"""Which API keys exist, and whose a key that somebody shows us is.

A key is 32 random bytes in text, shown once and kept as its SHA-256: with 256 bits to guess, a plain digest is
as good as a slow one. Finding by digest is also why the answer's timing tells nothing of the key.
"""

from __future__ import annotations

import hashlib
import secrets
import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection, func, insert, or_, select, update

from shared.store.tables import api_keys, tenants
from shared.store.tenants import TenantSettings

SECRET_BYTES: Final = 32
"""256 bits: 43 characters of URL-safe base64."""
PREFIX_LENGTH: Final = 12
"""What a list of keys may show: the kind and five characters, enough to tell keys apart, useless to guess the rest."""


class KeyRole(StrEnum):
    """What a key may do."""

    STOREFRONT = "storefront"
    READ_ONLY = "read_only"  # Publishable: may only read status (contract section 1).
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose key a request carries. *key_id* names the key in logs and limits; the key cannot be had from it."""

    tenant_id: uuid.UUID
    role: KeyRole
    live: bool
    settings: TenantSettings
    key_id: str


def create(
    conn: Connection, tenant_id: uuid.UUID, role: KeyRole, *, live: bool, expires_at: datetime | None = None
) -> str:
    """A new key of the tenant; its text exists nowhere but in this answer."""
    kind = "pk" if role is KeyRole.READ_ONLY else "sk"
    key = f"{kind}_{'live' if live else 'dev'}_{secrets.token_urlsafe(SECRET_BYTES)}"
    conn.execute(
        insert(api_keys).values(
            tenant_id=tenant_id,
            key_hash=_digest(key),
            prefix=key[:PREFIX_LENGTH],
            role=role.value,
            expires_at=expires_at,
        )
    )
    return key


def find(conn: Connection, key: str) -> Caller | None:
    """Whose *key* is, unless it is revoked or expired by the database's clock.

    The one statement that does not name its tenant: it is how we learn the tenant.
    """
    digest = _digest(key)
    row = conn.execute(
        select(api_keys.c.tenant_id, api_keys.c.role, api_keys.c.prefix, tenants.c.settings)
        .join_from(api_keys, tenants, api_keys.c.tenant_id == tenants.c.tenant_id)
        .where(
            api_keys.c.key_hash == digest,
            api_keys.c.revoked_at.is_(None),
            or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > func.clock_timestamp()),
        )
    ).one_or_none()
    if row is None:
        return None
    settings = TenantSettings.model_validate(row.settings)
    return Caller(row.tenant_id, KeyRole(row.role), "_live_" in row.prefix, settings, key_id_of(key))


def revoke(conn: Connection, tenant_id: uuid.UUID, key: str) -> bool:
    """End *key* now; False if the tenant has no such live key."""
    revoked = conn.execute(
        update(api_keys)
        .where(api_keys.c.tenant_id == tenant_id, api_keys.c.key_hash == _digest(key), api_keys.c.revoked_at.is_(None))
        .values(revoked_at=func.clock_timestamp())
        .returning(api_keys.c.prefix)
    )
    return revoked.one_or_none() is not None


def key_id_of(key: str) -> str:
    """The name of *key* for logs and limits: 16 hexadecimal digits of its digest."""
    return _digest(key).hex()[:16]


def _digest(key: str) -> bytes:
    # Surrogates and other oddities a header may carry must be an unknown key, not an error.
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
