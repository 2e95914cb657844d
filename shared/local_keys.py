"""Keys this installation keeps itself: one wraps, all unwrap, and a retired one is known by its name alone.

AES-256-GCM by `cryptography`. A key that wrapped n data keys used n random nonces of 96 bits: rotate before 2^32
(NIST SP 800-38D 8.3).
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field, replace
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared.key_service import CannotOpen, RetiredKey, Wrapped

NONCE_BYTES: Final = 12
"""NIST SP 800-38D 8.2.2: a random 96-bit nonce."""
KEY_BYTES: Final = 32
"""AES-256."""

_NUMBERED: Final = re.compile(r"k([0-9]{1,9})")


class BadRing(ValueError):
    """The keys do not make a ring, or may not be changed as asked; the message says why."""


@dataclass(frozen=True, slots=True)
class LocalKeys:
    """A ring of keys; raises BadRing unless the active one is in it, each has 32 bytes and none is retired."""

    active: str
    keys: dict[str, bytes] = field(repr=False)
    retired: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.active not in self.keys:
            raise BadRing("the active key is not in the ring")
        if any(len(key) != KEY_BYTES for key in self.keys.values()):
            raise BadRing("every key needs 32 bytes")
        if self.retired & self.keys.keys():
            raise BadRing("a retired key is still in the ring")

    def wrap(self, data_key: bytes, *, context: str) -> Wrapped:
        """*data_key* under the active key."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return Wrapped(self.active, nonce + AESGCM(self.keys[self.active]).encrypt(nonce, data_key, context.encode()))

    def unwrap(self, wrapped: Wrapped, *, context: str) -> bytes:
        """The data key; raises RetiredKey, or CannotOpen for an unknown key or another context."""
        if wrapped.key_id in self.retired:
            raise RetiredKey("sealed by a key that was retired; what it sealed has to be made anew")
        key = self.keys.get(wrapped.key_id)
        if key is None:
            raise CannotOpen("sealed by a key that is not in the ring: put it back, or let the value expire")
        try:
            nonce, body = wrapped.body[:NONCE_BYTES], wrapped.body[NONCE_BYTES:]
            return AESGCM(key).decrypt(nonce, body, context.encode())
        except (InvalidTag, ValueError) as error:
            raise CannotOpen("the value does not belong here, or was changed") from error

    def prepared(self) -> LocalKeys:
        """This ring with one more key that opens and does not seal yet; no id is ever given twice."""
        numbers = [int(match[1]) for name in (*self.keys, *self.retired) if (match := _NUMBERED.fullmatch(name))]
        return replace(self, keys=self.keys | {f"k{max(numbers, default=0) + 1}": secrets.token_bytes(KEY_BYTES)})

    def rotated(self) -> LocalKeys:
        """This ring sealing with its newest key: the one that was prepared, else a fresh one."""
        ring = self.prepared() if self.active == self._newest() else self
        return replace(ring, active=ring._newest())

    def without(self, key_id: str) -> LocalKeys:
        """This ring with *key_id* retired; raises BadRing if it is unknown, or seals at present."""
        if key_id not in self.keys:
            raise BadRing("no such key is in the ring")
        if key_id == self.active:
            raise BadRing("this key seals at present: rotate first")
        keys = {name: key for name, key in self.keys.items() if name != key_id}
        return replace(self, keys=keys, retired=self.retired | {key_id})

    def _newest(self) -> str:
        return list(self.keys)[-1]


def fresh() -> LocalKeys:
    """A ring of one random key."""
    return LocalKeys("k1", {"k1": secrets.token_bytes(KEY_BYTES)})
