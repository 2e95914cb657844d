"""The port to whoever holds the keys: it wraps data keys and unwraps them, and never shows a key of its own.

Shaped like a KMS (AWS, Google Cloud, Vault Transit): a call names a context, and what was wrapped under one context
does not unwrap under another. The local ring (shared/local_keys.py) is its default implementation.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from shared.domain.refusals import Unavailable


class CannotOpen(ValueError):
    """A sealed value that does not open: moved, tampered with, or sealed by a key that is not here."""


class RetiredKey(CannotOpen):
    """A value sealed by a key that was retired: nobody opens it any more."""


class KeysAway(Unavailable):
    """The key service does not answer: nothing can be sealed or opened now, and nothing is kept unsealed instead."""


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A data key as it may be kept, and the id of the key that wrapped it: 1 to 255 bytes of UTF-8."""

    key_id: str
    body: bytes = field(repr=False)


class KeyService(Protocol):
    """Wraps and unwraps data keys of 32 bytes."""

    def wrap(self, data_key: bytes, *, context: str) -> Wrapped:
        """*data_key* under the key that seals at present; raises KeysAway."""
        ...

    def unwrap(self, wrapped: Wrapped, *, context: str) -> bytes:
        """The data key; raises RetiredKey, CannotOpen (an unknown key, another context) or KeysAway."""
        ...
