"""The catalogues this process has read, each believed for a moment.

Reading a catalogue costs far more than resolving from it, and an import is not urgent to the second. A price can
never be half old: an offer is resolved from one reading, and charged from its own snapshot.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Final

from sqlalchemy import Connection

from shared.domain.catalogue import Catalogue
from shared.store import catalogue

MOST_REMEMBERED: Final = 128
"""Tenants a process keeps in memory, of up to 10,000 lines each; past it all are forgotten and read again."""


class Catalogues:
    """Catalogues by tenant, each for *cache_s* seconds."""

    def __init__(self, cache_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._cache_s, self._clock = cache_s, clock
        self._seen: dict[uuid.UUID, tuple[float, Catalogue]] = {}

    def of(self, conn: Connection, tenant_id: uuid.UUID) -> Catalogue:
        """All the tenant sells, as of at most cache_s seconds ago."""
        remembered = self._seen.get(tenant_id)
        if remembered is not None and self._clock() < remembered[0]:
            return remembered[1]
        found = catalogue.load(conn, tenant_id)
        if len(self._seen) >= MOST_REMEMBERED:
            self._seen.clear()
        self._seen[tenant_id] = (self._clock() + self._cache_s, found)
        return found
