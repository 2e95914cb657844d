"""A key service of a test's own: as a KMS it can be away, and it is asked where everybody can count."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from shared import local_keys
from shared.key_service import KeysAway, KeyService, Wrapped


@dataclass(slots=True)
class SomeKms:
    """Keys elsewhere; asks *keys* while it is not away."""

    keys: KeyService = field(default_factory=local_keys.fresh)
    is_away: bool = False
    wrapped: int = 0

    def wrap(self, data_key: bytes, *, context: str) -> Wrapped:
        """As KeyService says."""
        self._answers()
        self.wrapped += 1
        return self.keys.wrap(data_key, context=context)

    def unwrap(self, wrapped: Wrapped, *, context: str) -> bytes:
        """As KeyService says."""
        self._answers()
        return self.keys.unwrap(wrapped, context=context)

    @contextmanager
    def away(self) -> Iterator[None]:
        """For the time of the block it does not answer."""
        self.is_away = True
        try:
            yield
        finally:
            self.is_away = False

    def _answers(self) -> None:
        if self.is_away:
            raise KeysAway("the keys cannot be reached right now; try again")
