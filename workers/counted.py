"""What two counts of those who wait tell: whose orders are a crowd's, whose PSPs have rows, how fast each line goes.

Who went between them is who waited before and came since, less who waits now. An order may be written a moment after
its number was minted, so the last moment is left out of either (Backlog.settled).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from shared.crowds import is_crowd, usual
from shared.outlook import FEWEST
from shared.store.backlog import Backlog
from workers.drain import Drain

UNTOUCHED: Final = 5
"""So many orders that nobody has in hand make a line that waits for workers."""
MOST_ROWS: Final = 20
"""Tenants whose rows are told, the longest."""


@dataclass(frozen=True, slots=True)
class Count:
    """Who waited, tenant by tenant, *at* a moment of our clock (seconds); settled: minted before *until_ms*."""

    at: float
    until_ms: int
    tenants: Mapping[UUID, Backlog]

    def crowds(self, least: int) -> frozenset[UUID]:
        """Whose orders are a crowd's."""
        others = usual(one.waiting for one in self.tenants.values())
        return frozenset(tenant for tenant, one in self.tenants.items() if is_crowd(one.waiting, others, least))

    def rows(self) -> dict[UUID, float]:
        """Whose rows are long, and how many a second their places allow."""
        long = sorted(self.tenants.items(), key=lambda pair: -pair[1].standing)[:MOST_ROWS]
        spans = {tenant: (one.standing - 1, one.last_in_s - one.first_in_s) for tenant, one in long if is_row(one)}
        return {tenant: orders / span_s for tenant, (orders, span_s) in spans.items()}

    def line(self, crowds: Collection[UUID], *, of_crowd: bool) -> list[Backlog]:
        """Those in one of the two lines."""
        return [one for tenant, one in self.tenants.items() if (tenant in crowds) is of_crowd]


def is_row(one: Backlog) -> bool:
    """Whether so many of a tenant's orders stand that it is worth a word."""
    return one.standing >= FEWEST and one.last_in_s > one.first_in_s


class Lines:
    """How fast the two lines go, a crowd's and all others'."""

    def __init__(self) -> None:
        self._drains = {True: Drain(), False: Drain()}

    def per_s(self, *, of_crowd: bool) -> float | None:
        """Orders a second; None: not known, or none."""
        return self._drains[of_crowd].per_s

    def measure(self, before: Count | None, now: Count, came: Mapping[UUID, int], crowds: Collection[UUID]) -> None:
        """See who went; *came*: who was minted in between, tenant by tenant."""
        for of_crowd, drain in self._drains.items():
            counts = [count.line(crowds, of_crowd=of_crowd) for count in (before, now) if count is not None]
            if before is None or min(sum(one.untouched for one in line) for line in counts) < UNTOUCHED:
                drain.rests()
                continue
            was, there = (sum(one.settled for one in line) for line in counts)
            new = sum(orders for tenant, orders in came.items() if (tenant in crowds) is of_crowd)
            drain.went(max(0, was + new - there), now.at - before.at)


class Rows:
    """How fast the orders of tenants go whose PSPs have rows."""

    def __init__(self) -> None:
        self._drains: dict[UUID, Drain] = {}

    def per_s(self, tenant: UUID) -> float | None:
        """Orders a second; None: not known, or none."""
        return self._drains[tenant].per_s if tenant in self._drains else None

    def measure(self, before: Count | None, now: Count, came: Mapping[UUID, int], rows: Collection[UUID]) -> None:
        """See who went of the tenants of *rows*; whoever has none any more is forgotten."""
        self._drains = {tenant: self._drains.get(tenant, Drain()) for tenant in rows}
        for tenant, drain in self._drains.items():
            there = now.tenants[tenant]
            was = None if before is None else before.tenants.get(tenant)
            if before is None or was is None or not is_row(was):
                drain.rests()
                continue
            gone = was.settled_in_all + came.get(tenant, 0) - there.settled_in_all
            drain.went(max(0, gone), now.at - before.at)
