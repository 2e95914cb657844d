"""What an idempotency key remembers: the first answer, as long as the settings say.

A repeat gets the first answer byte for byte, however the charge went on since; GET tells where it stands now. The
same key with another request is refused, and so is a repeat while the first call still runs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

KeyId = tuple[str, str, str]  # account, operation, key


class KeyReused(Exception):
    """The key came with another request before."""


class InProgress(Exception):
    """The first call under this key has not ended."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """A first answer."""

    digest: str
    body: bytes
    at: float


class KeyMemory:
    """The first answers, and the calls that run."""

    def __init__(self) -> None:
        self._answers: dict[KeyId, Remembered] = {}
        self._running: dict[KeyId, str] = {}

    def recall(self, key: KeyId, digest: str, *, lifetime_s: float, now: float) -> bytes | None:
        """The first answer, None for a new key; raises KeyReused or InProgress."""
        remembered = self._answers.get(key)
        if remembered and remembered.at + lifetime_s <= now:
            del self._answers[key]
            remembered = None
        first = remembered.digest if remembered else self._running.get(key)
        if first is None:
            return None
        if first != digest:
            raise KeyReused
        if remembered is None:
            raise InProgress
        return remembered.body

    @contextmanager
    def running(self, key: KeyId, digest: str) -> Iterator[None]:
        """Hold *key* while its first call runs."""
        self._running[key] = digest
        try:
            yield
        finally:
            del self._running[key]

    def keep(self, key: KeyId, remembered: Remembered) -> None:
        """Remember a first answer."""
        self._answers[key] = remembered


def digest_of(operation: str, document: dict[str, Any]) -> str:
    """What makes two requests the same. *document* holds a card's mask only: a digest of a PAN could be guessed."""
    return hashlib.sha256(json.dumps([operation, document], sort_keys=True).encode()).hexdigest()


def body_of(document: dict[str, Any]) -> bytes:
    """An answer's bytes."""
    return json.dumps(document, separators=(",", ":")).encode()
