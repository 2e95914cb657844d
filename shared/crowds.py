"""Who is a crowd: a tenant that sends so much more than the others that they would stand behind it.

Queues are first come, first served: whoever has a thousand orders in one stands in front of everybody. So a crowd's
orders go to queues of their own (shared/messages.py), read in turn with the others. Each process judges by what it sees
itself, by a count that fades: nothing is asked and nothing shared, and a wrong guess costs an order a place, no more.

A tenant that nobody else is there to wait for may be a crowd as well: whoever comes next is served next. It costs that
tenant nothing, or a small shop's better hour would: a worker reads both queues of a step and waits at neither, so that
a tenant alone has every place. Where others wait, a crowd has every second place, which for a shop of six orders among
many of one is more than its turn.
"""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from typing import Final, TypeVar

TIMES: Final = 5
"""How much more than the middle one of the others: shops differ by a few times, and their busy hours by two."""
FADES_IN_S: Final = 10.0
"""How long an order counts: a shop's busy second is forgotten soon, and a crowd is one for as long as it sends."""
LOOK_EVERY_S: Final = 1.0
"""How often counts fade and the others are looked at: the one thing here that costs more than a look into a table."""
FORGOTTEN: Final = math.exp(-1)
"""Where a count is let go of: one order, after FADES_IN_S."""
MOST_TENANTS: Final = 1_024
"""Tenants a process counts, some 0.2 MiB. Past it the lesser half is forgotten: a crowd is not among them."""

Tenant = TypeVar("Tenant", bound=Hashable)


def usual(counts: Iterable[float]) -> float:
    """What the middle one of all but the greatest sends, of two the lesser; 0 where there is no other."""
    ranked = sorted(counts)
    return ranked[(len(ranked) - 2) // 2] if len(ranked) > 1 else 0.0


def is_crowd(count: float, others: float, least: int) -> bool:
    """Whether *count* orders are a crowd's where the usual is *others*; *least*: never so few. 0: nobody is one."""
    return least > 0 and count > least and count > TIMES * others


def crowds_among(tenants: Iterable[Tenant], least: int) -> frozenset[Tenant]:
    """Whose orders are a crowd's, of orders told by their *tenants*."""
    counts: Mapping[Tenant, int] = Counter(tenants)
    others = usual(counts.values())
    return frozenset(tenant for tenant, count in counts.items() if is_crowd(count, others, least))


class Crowds:
    """What one process knows of who sends how much. Safe to ask from any thread; times are seconds of one clock."""

    def __init__(self, *, least: int) -> None:
        self._least = least
        self._lock = threading.Lock()
        self._counts: dict[Hashable, float] = {}
        self._others = 0.0
        self._looked_at = -math.inf

    def sends(self, tenant: Hashable, now: float) -> bool:
        """Count an order of *tenant*; whether it is a crowd's."""
        with self._lock:
            self._look(now)
            count = self._counts[tenant] = self._counts.get(tenant, 0.0) + 1.0
            if len(self._counts) > MOST_TENANTS:
                self._counts = dict(sorted(self._counts.items(), key=lambda one: -one[1])[: MOST_TENANTS // 2])
            return is_crowd(count, self._others, self._least)

    def is_one(self, tenant: Hashable, now: float) -> bool:
        """Whether *tenant* is a crowd, as its orders so far tell."""
        with self._lock:
            self._look(now)
            return is_crowd(self._counts.get(tenant, 0.0), self._others, self._least)

    def _look(self, now: float) -> None:
        if now - self._looked_at < LOOK_EVERY_S:
            return
        left = math.exp((self._looked_at - now) / FADES_IN_S)
        self._counts = {one: kept for one, count in self._counts.items() if (kept := count * left) > FORGOTTEN}
        self._others = usual(self._counts.values())
        self._looked_at = now
