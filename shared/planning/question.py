"""What a plan is asked for: the load, the PSP, and how much of every part stays free."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Final

LEAST_FREE: Final = 0.1
MOST_FREE: Final = 0.8
"""With less than a tenth free no queue is short whose work comes by chance; with more than four fifths a plan is of
another load than the one it names."""
LONGEST_PSP_MS: Final = 5_000
"""A call may take 15 s in all (design); a PSP whose average is beyond a third of it has a tail that is mostly cut."""


@dataclass(frozen=True, slots=True)
class Question:
    """One load and the machines it may have."""

    orders_per_second: float
    psp_ms: float
    """What one call to the PSP takes on the average."""
    polls_per_order: float = 30.0
    """The contract's remainingRetryCount: the most that a storefront is asked to."""
    psp_limit_per_second: float | None = None
    """Calls the PSP allows; None: it tells no limit."""
    free: float = 0.3
    """The share of each part that stays free: for bursts, restarts and the loss of a machine."""
    postgres_cores: int = 32
    """Of the largest machine a database may have: one server of a usual rack, or what clouds rent by the hour."""
    wal_mb_per_second: float = 100.0
    """Write-ahead log a disk takes and a standby follows; replay is of one process, and a tenth of a fast disk."""

    def share(self, shards: int) -> Question:
        """What one of so many shards is asked for; the limit of a PSP's account is shared as well."""
        limit = self.psp_limit_per_second
        return replace(
            self,
            orders_per_second=self.orders_per_second / shards,
            psp_limit_per_second=None if limit is None else limit / shards,
        )

    def document(self) -> dict[str, Any]:
        """As a plan tells it."""
        told = asdict(self)
        return {
            "ordersPerSecond": told["orders_per_second"],
            "pspMs": told["psp_ms"],
            "pollsPerOrder": told["polls_per_order"],
            "pspLimitPerSecond": told["psp_limit_per_second"],
            "availability": told["free"],
            "postgresCores": told["postgres_cores"],
            "walMbPerSecond": told["wal_mb_per_second"],
        }
