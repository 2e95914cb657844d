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

from sqlalchemy import Connection, Float, Label, LargeBinary, Text, Uuid, bindparam, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import JSONB

from shared.store.tables import api_keys
from shared.store.tenants import TenantSettings

SECRET_BYTES: Final = 32
"""256 bits: 43 characters of URL-safe base64."""
PREFIX_LENGTH: Final = 12
"""What a list of keys may show: the kind and five characters, enough to tell keys apart, useless to guess the rest."""


KEY_ID_LENGTH: Final = 16
"""64 bits of the digest, in hexadecimal: no two keys of a tenant meet, and nobody gets from it to the key."""


_CALLER: Final = (
    text("SELECT tenant_id, role, prefix, good_for_s, settings FROM c2a_caller(:digest)")
    .bindparams(bindparam("digest", type_=LargeBinary))
    .columns(tenant_id=Uuid, role=Text, prefix=Text, good_for_s=Float, settings=JSONB)
)


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
    good_for_s: float | None = None
    """Seconds until the key expires, by the database's clock when it was read; None: never."""


@dataclass(frozen=True, slots=True)
class KnownKey:
    """What may be told of a key after it was made. *prefix* is how its text begins."""

    key_id: str
    prefix: str
    role: KeyRole
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


def create(
    conn: Connection, tenant_id: uuid.UUID, role: KeyRole, *, live: bool, expires_at: datetime | None = None
) -> str:
    """A new key of the tenant; its text exists nowhere but in this answer."""
    kind = "pk" if role is KeyRole.READ_ONLY else "sk"
    key = f"{kind}_{'live' if live else 'dev'}_{secrets.token_urlsafe(SECRET_BYTES)}"
    conn.execute(
        insert(api_keys).values(
            tenant_id=tenant_id,
            key_hash=digest_of(key),
            prefix=key[:PREFIX_LENGTH],
            role=role.value,
            expires_at=expires_at,
        )
    )
    return key


def find(conn: Connection, key: str) -> Caller | None:
    """Whose *key* is, unless it is revoked or expired by the database's clock.

    It names no tenant: it is how we learn the tenant, by a function of the database (migration 0004).
    """
    return find_by_digest(conn, digest_of(key))


def find_by_digest(conn: Connection, digest: bytes) -> Caller | None:
    """Whose key has this digest (`digest_of`), as `find` tells: for who remembers that a key was shown, not the key."""
    row = conn.execute(_CALLER, {"digest": digest}).one_or_none()
    if row is None:
        return None
    settings = TenantSettings.model_validate(row.settings)
    key_id = digest.hex()[:KEY_ID_LENGTH]
    return Caller(row.tenant_id, KeyRole(row.role), "_live_" in row.prefix, settings, key_id, row.good_for_s)


def list_of(conn: Connection, tenant_id: uuid.UUID) -> list[KnownKey]:
    """The tenant's keys, the oldest first, those that are over among them."""
    rows = conn.execute(
        select(_key_id(), *(api_keys.c[name] for name in ("prefix", "role", "created_at", "expires_at", "revoked_at")))
        .where(api_keys.c.tenant_id == tenant_id)
        .order_by(api_keys.c.created_at, _key_id())
    )
    return [KnownKey(**(dict(row._mapping) | {"role": KeyRole(row.role)})) for row in rows]


def revoke(conn: Connection, tenant_id: uuid.UUID, key_id: str) -> bool:
    """End the key called *key_id* now; False if the tenant has no such key. Doing it again changes nothing.

    A process may believe the key for a moment yet: shared/revocations.py tells it.
    """
    revoked = conn.execute(
        update(api_keys)
        .where(api_keys.c.tenant_id == tenant_id, _key_id() == key_id)
        .values(revoked_at=func.coalesce(api_keys.c.revoked_at, func.clock_timestamp()))
        .returning(api_keys.c.prefix)
    )
    return revoked.one_or_none() is not None


def key_id_of(key: str) -> str:
    """The name of *key* for logs and limits: 16 hexadecimal digits of its digest."""
    return digest_of(key).hex()[:KEY_ID_LENGTH]


def _key_id() -> Label[str]:
    return func.left(func.encode(api_keys.c.key_hash, "hex"), KEY_ID_LENGTH).label("key_id")


def digest_of(key: str) -> bytes:
    """What is kept of *key*, and found by: its SHA-256."""
    # Surrogates and other oddities a header may carry must be an unknown key, not an error.
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
