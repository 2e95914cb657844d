"""Seals what must not be read at rest, and makes digests nobody can search without the key.

Envelope encryption, AES-256-GCM by `cryptography`: every sealed value has a data key of its own, which the key
service wraps; the value carries the wrapped key and the id of the key that wrapped it. So keys rotate without
downtime: the active key seals, every key of the ring opens, a retired key refuses. The associated data of both layers
says whose the value is and what for, so a value moved to another row, tenant or purpose does not open. Digests are
HMAC-SHA256 under a pepper of their own: an unkeyed hash of a card number with known first six and last four falls in
under a second.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared import local_keys, private_file
from shared.key_service import CannotOpen, KeyService, Wrapped
from shared.local_keys import KEY_BYTES, NONCE_BYTES, BadRing, LocalKeys

__all__ = ["CannotOpen", "Fingerprints", "Keyring", "fresh", "load", "read", "save", "sealed_under"]

ENVELOPE: Final = b"\x02"
"""How a value with a data key of its own begins; what was sealed before there were any begins with its key's id."""
PEPPER_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Fingerprints:
    """Digests under one tenant's own key: of no use for searching another tenant's rows."""

    _key: bytes = field(repr=False)

    def of(self, *parts: str) -> bytes:
        """A keyed digest of *parts*, 32 bytes; the parts cannot run into each other."""
        return _digest(self._key, parts)


@dataclass(frozen=True, slots=True)
class Keyring:
    """The keys of this installation: those that seal, behind their port, and the pepper of the digests."""

    keys: KeyService
    pepper: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.pepper) != PEPPER_BYTES:
            raise BadRing("the pepper needs 32 bytes")

    def seal(self, plain: bytes, *, bound_to: str) -> bytes:
        """*plain*, readable only where *bound_to* (purpose, tenant and row) is the same; raises KeysAway."""
        data_key, nonce = secrets.token_bytes(KEY_BYTES), secrets.token_bytes(NONCE_BYTES)
        wrapped = self.keys.wrap(data_key, context=_of_data_key(bound_to))
        body = AESGCM(data_key).encrypt(nonce, plain, bound_to.encode())
        return _joined(wrapped, nonce + body)

    def open(self, sealed: bytes, *, bound_to: str) -> bytes:
        """What was sealed; raises CannotOpen (RetiredKey where its key was retired) or KeysAway."""
        if not sealed.startswith(ENVELOPE):
            return self._open_direct(sealed, bound_to=bound_to)
        wrapped, body = _parts(sealed)
        data_key = self.keys.unwrap(wrapped, context=_of_data_key(bound_to))
        try:
            return AESGCM(data_key).decrypt(body[:NONCE_BYTES], body[NONCE_BYTES:], bound_to.encode())
        except (InvalidTag, ValueError) as error:
            raise CannotOpen("the value does not belong here, or was changed") from error

    def _open_direct(self, sealed: bytes, *, bound_to: str) -> bytes:
        """What a key of the ring sealed itself, before values had data keys: to that key, the value was one."""
        key_id, _, body = sealed.partition(b".")
        return self.keys.unwrap(Wrapped(key_id.decode("ascii", "replace"), body), context=bound_to)

    def reseal(self, sealed: bytes, *, bound_to: str) -> bytes:
        """*sealed* under the key that seals at present; itself if it is already. Raises as open does.

        Only the data key is wrapped anew: what it sealed stays as it is.
        """
        if not sealed.startswith(ENVELOPE):
            return self.seal(self._open_direct(sealed, bound_to=bound_to), bound_to=bound_to)
        wrapped, body = _parts(sealed)
        context = _of_data_key(bound_to)
        anew = self.keys.wrap(self.keys.unwrap(wrapped, context=context), context=context)
        return sealed if anew.key_id == wrapped.key_id else _joined(anew, body)

    def digest(self, *parts: str) -> bytes:
        """A keyed digest of *parts*, 32 bytes; the parts cannot run into each other."""
        return _digest(self.pepper, parts)

    def fingerprints(self, tenant_id: UUID) -> Fingerprints:
        """The digests of one tenant, under a key derived for it alone."""
        return _fingerprints(self.pepper, tenant_id)


@lru_cache(maxsize=1_024)
def _fingerprints(pepper: bytes, tenant_id: UUID) -> Fingerprints:
    return Fingerprints(_digest(pepper, ("fingerprints", str(tenant_id))))


def fresh() -> Keyring:
    """A new ring with one random key and a random pepper."""
    return Keyring(local_keys.fresh(), secrets.token_bytes(PEPPER_BYTES))


def read(document: str) -> Keyring:
    """The ring a key document tells (`c2a keyring create` writes one); raises BadRing, which quotes nothing of it."""
    try:
        told = json.loads(document)
        keys = {str(key_id): base64.b64decode(key) for key_id, key in told["keys"].items()}
        local = LocalKeys(told["active"], keys, frozenset(told.get("retired", ())))
        return Keyring(local, base64.b64decode(told["pepper"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        why = str(error) if isinstance(error, BadRing) else "it is not as `c2a keyring create` writes it"
        raise BadRing(f"the key document cannot be used: {why}") from None


def load(path: Path) -> Keyring:
    """The ring in *path* as it is now; raises BadRing or OSError."""
    return read(path.read_text())


def save(ring: Keyring, path: Path) -> None:
    """Write *ring*, whose keys are local, where only its owner may read it; a reader sees the old or the new one."""
    assert isinstance(ring.keys, LocalKeys), "the keys of a key service do not leave it"
    document = {
        "active": ring.keys.active,
        "keys": {key_id: base64.b64encode(key).decode() for key_id, key in ring.keys.keys.items()},
        "retired": sorted(ring.keys.retired),
        "pepper": base64.b64encode(ring.pepper).decode(),
    }
    private_file.replace(path, json.dumps(document))


def sealed_under(key_id: str) -> bytes:
    """How every value begins whose data key was wrapped by *key_id*."""
    name = key_id.encode()
    return ENVELOPE + len(name).to_bytes(1) + name


def _joined(wrapped: Wrapped, body: bytes) -> bytes:
    return sealed_under(wrapped.key_id) + len(wrapped.body).to_bytes(2) + wrapped.body + body


def _parts(sealed: bytes) -> tuple[Wrapped, bytes]:
    """The wrapped data key and the body; short input gives short parts, which do not open."""
    name_end = 2 + int.from_bytes(sealed[1:2])
    body_at = name_end + 2 + int.from_bytes(sealed[name_end : name_end + 2])
    wrapped = Wrapped(sealed[2:name_end].decode("utf-8", "replace"), sealed[name_end + 2 : body_at])
    return wrapped, sealed[body_at:]


def _of_data_key(bound_to: str) -> str:
    """The context of a data key: never that of a value, so that neither passes for the other."""
    return f"data-key:{bound_to}"


def _digest(key: bytes, parts: tuple[str, ...]) -> bytes:
    return hmac.digest(key, json.dumps(parts).encode(), hashlib.sha256)
