"""Seals what must not be read at rest, and makes digests nobody can search without the key.

AES-256-GCM by `cryptography`. A sealed value carries the id of the key that sealed it, so keys rotate without
downtime: the active key seals, every key of the ring opens, a key taken out of the ring refuses. The associated
data says whose the value is and what for, so a value moved to another row or tenant does not open. Digests are
HMAC-SHA256 under a pepper of their own: an unkeyed hash of a card number with known first six and last four
falls in under a second.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE_BYTES: Final = 12
"""NIST SP 800-38D 8.2.2: a random 96-bit nonce."""


class CannotOpen(ValueError):
    """A sealed value that this ring does not open: moved, tampered with, or sealed by a retired key."""


@dataclass(frozen=True, slots=True)
class Keyring:
    """The keys of this installation."""

    active: str
    keys: dict[str, bytes] = field(repr=False)
    pepper: bytes = field(repr=False)

    def seal(self, plain: bytes, *, bound_to: str) -> bytes:
        """*plain* under the active key, readable only where *bound_to* is the same."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        body = AESGCM(self.keys[self.active]).encrypt(nonce, plain, bound_to.encode())
        return self.active.encode() + b"." + nonce + body

    def open(self, sealed: bytes, *, bound_to: str) -> bytes:
        """What was sealed; raises CannotOpen."""
        key_id, _, rest = sealed.partition(b".")
        key = self.keys.get(key_id.decode("ascii", "replace"))
        if key is None:
            raise CannotOpen("sealed by a key that is not in the ring: put it back, or let the value expire")
        try:
            return AESGCM(key).decrypt(rest[:NONCE_BYTES], rest[NONCE_BYTES:], bound_to.encode())
        except (InvalidTag, ValueError) as error:
            raise CannotOpen("the value does not belong here, or was changed") from error

    def digest(self, *parts: str) -> bytes:
        """A keyed digest of *parts*, 32 bytes; the parts cannot run into each other."""
        return hmac.digest(self.pepper, json.dumps(parts).encode(), hashlib.sha256)


def fresh() -> Keyring:
    """A new ring with one random key."""
    return Keyring("k1", {"k1": secrets.token_bytes(32)}, secrets.token_bytes(32))


def save(ring: Keyring, path: Path) -> None:
    """Write *ring* where only its owner may read it."""
    document = {
        "active": ring.active,
        "keys": {key_id: base64.b64encode(key).decode() for key_id, key in ring.keys.items()},
        "pepper": base64.b64encode(ring.pepper).decode(),
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(document))


def load(path: Path) -> Keyring:
    """The ring in *path*; raises ValueError if a key is not 32 bytes or the active one is missing."""
    document = json.loads(path.read_text())
    keys = {key_id: base64.b64decode(key) for key_id, key in document["keys"].items()}
    pepper = base64.b64decode(document["pepper"])
    if document["active"] not in keys or any(len(key) != 32 for key in (*keys.values(), pepper)):
        raise ValueError(f"{path}: needs an active key that is in the ring, and 32 bytes in every key and the pepper")
    return Keyring(document["active"], keys, pepper)
