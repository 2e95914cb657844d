"""Tries a plan: runs what it plans with orders that come by chance, and holds what is seen against what it says.

The front door is run by itself, as thirty polls come for one order; whoever is admitted there then passes the
queues' processes and the PSP. A payment's turn on a core and its time at a place are two stations. Computing takes
times that scatter as widely as an exponential's, a PSP's call has a tail (log-normal) and ends at its deadline.

Where more than CROWD payments would be in hand at a time, a slice of the plan is run: so many times fewer orders,
places and processes, each process so much slower that it is as busy. A small crowd waits longer than a large one that
is as busy, so a slice errs on the safe side.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from shared.planning import simulation
from shared.planning.costs import API
from shared.planning.plan import Plan
from shared.planning.pools import BESIDE, ROUND_TRIP_MS, Pool
from shared.planning.simulation import Run, Seen, Service, Station, percentile

ORDERS: Final = 16_000
"""So many that a share of a pool is known to a hundredth or two and 1 % of the waits are more than a few."""
VISITS: Final = 24_000
CROWD: Final = 800
"""Payments in hand at a time in a run: a twentieth of its orders, so that it sees a payment's length twenty times."""
SPREAD: Final = 0.5
"""Of the logarithm of a PSP's times: one call in a hundred takes three times the median."""
DEADLINE_S: Final = 15.0
"""No call to a PSP takes longer (design: total 15 s)."""
WITHIN: Final = 0.03
"""How far a share may be from the predicted one: chance alone moved none further than 0.018 in 250 plans."""
FULL: Final = 0.95
"""Servers that are busier than this carry nothing more: their queue grows, if slowly."""
GROWS: Final = 0.02
"""More than this share of those who came were left in the queue."""
PARTS: Final = (0.5, 0.95, 0.99)
CORES: Final = "cores"


@dataclass(frozen=True, slots=True)
class Tried:
    """One pool in the run, beside what the plan says of it."""

    pool: str
    servers: int
    """Of the pool; of a slice that was run there were fewer."""
    what: str
    predicted: float
    seen: float
    wait_ms: tuple[float, float]
    """The median, and what 99 in 100 do not exceed."""
    growth: float
    most: float
    """The busiest it may be by the plan."""

    @property
    def grows(self) -> bool:
        """Whether its queue grew for as long as it was watched."""
        return self.growth > GROWS or self.seen >= FULL

    @property
    def fault(self) -> str | None:
        """Why the plan does not hold here, in a sentence."""
        if self.grows:
            return f"{self.pool}: {self.servers} {self.what} are too few, its queue grows for as long as orders come"
        if self.seen > self.most + WITHIN:
            return f"{self.pool}: {self.seen:.0%} of its {self.what} are busy, more than the {self.most:.0%} planned"
        if abs(self.seen - self.predicted) > WITHIN:
            return f"{self.pool}: {self.seen:.0%} of its {self.what} are busy where {self.predicted:.0%} were predicted"
        return None

    def document(self) -> dict[str, Any]:
        """For programs."""
        return {
            "pool": self.pool,
            "of": self.what,
            "servers": self.servers,
            "predicted": round(self.predicted, 4),
            "simulated": round(self.seen, 4),
            "waitMsP50": round(self.wait_ms[0], 3),
            "waitMsP99": round(self.wait_ms[1], 3),
            "queueGrows": self.grows,
        }


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of it."""

    tried: tuple[Tried, ...]
    took_ms: tuple[float, ...]
    """Submit to done, at PARTS."""
    slices: int
    seed: int

    @property
    def faults(self) -> list[str]:
        """Why the plan does not hold; nothing: it does."""
        return [one.fault for one in self.tried if one.fault]

    def document(self) -> dict[str, Any]:
        """For programs."""
        return {
            "seed": self.seed,
            "slices": self.slices,
            "pools": [one.document() for one in self.tried],
            "submitToDoneMs": {
                f"p{part * 100:.0f}": round(ms, 1) for part, ms in zip(PARTS, self.took_ms, strict=True)
            },
            "faults": self.faults,
        }


@dataclass(frozen=True, slots=True)
class _Watched:
    """What of the plan a station of the run stands for."""

    pool: Pool
    servers: int
    what: str
    predicted: float


def of(plan: Plan, *, seed: int) -> Trial:
    """Try *plan*; the same *seed* gives the same run."""
    random = Random(seed)  # noqa: S311 - chance, not a secret
    front, *queues = plan.pools
    way = [pool for pool in queues if pool.name not in BESIDE]
    slices = max(math.ceil(pool.waiting.held / CROWD) if pool.waiting else 1 for pool in way)
    watched = [one for pool in way for one in _watched(pool, plan, slices)]
    door, admission = _door(front, plan, random)
    rate = plan.question.orders_per_second / slices
    rest = simulation.run([station for station, _ in watched], per_second=rate, count=ORDERS, random=random)
    waits = door.seen[0].waits_s
    took = sorted(took_s + random.choice(waits) + admission(random) for took_s in rest.took_s)
    stand_for = [_Watched(front, front.cores, CORES, front.busy), *(one for _, one in watched)]
    tried = [_tried(*pair, 1 - plan.question.free) for pair in zip(stand_for, (*door.seen, *rest.seen), strict=True)]
    return Trial(tuple(tried), tuple(1_000 * percentile(took, part) for part in PARTS), slices, seed)


def _door(front: Pool, plan: Plan, random: Random) -> tuple[Run, Service]:
    """The front door with polls between its orders, and how long an order takes there once it is its turn."""
    visits = 1 + plan.question.polls_per_order
    admission = _computes(plan.costs.an_order(API) / 1_000)
    poll = _computes(plan.costs.a_poll(API) / 1_000)
    station = Station(front.cores, lambda chance: admission(chance) if chance.random() * visits < 1 else poll(chance))
    rate = plan.question.orders_per_second * visits
    return simulation.run([station], per_second=rate, count=VISITS, random=random), admission


def _watched(pool: Pool, plan: Plan, slices: int) -> Iterator[tuple[Station, _Watched]]:
    """The cores of *pool* and, where it waits, its places; of a slice of the plan.

    What takes how long comes from the costs and the question, not from the plan that is tried.
    """
    ms = plan.costs.queues()[pool.name]
    cores = max(1, pool.cores // slices)
    slower = cores * slices / pool.cores
    yield Station(cores, _computes(slower * ms / 1_000)), _Watched(pool, pool.cores, CORES, pool.busy)
    if pool.waiting:
        answer = _answers(plan.question.psp_ms / 1_000)
        beside_s = (ms + plan.costs.engine_room.round_trips * ROUND_TRIP_MS) / 1_000
        station = Station(max(1, pool.places // slices), lambda chance: beside_s + answer(chance))
        yield station, _Watched(pool, pool.places, "places", pool.taken)


def _tried(watched: _Watched, seen: Seen, most: float) -> Tried:
    waits = seen.waits_s
    return Tried(
        pool=watched.pool.name,
        servers=watched.servers,
        what=watched.what,
        predicted=watched.predicted,
        seen=seen.busy,
        wait_ms=(1_000 * percentile(waits, 0.5), 1_000 * percentile(waits, 0.99)),
        growth=seen.growth,
        most=most,
    )


def _computes(mean_s: float) -> Service:
    return (lambda chance: chance.expovariate(1 / mean_s)) if mean_s > 0 else (lambda _: 0.0)


def _answers(mean_s: float) -> Service:
    middle = math.log(mean_s) - SPREAD**2 / 2
    return lambda chance: min(DEADLINE_S, chance.lognormvariate(middle, SPREAD))
