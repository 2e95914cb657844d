"""How many processes each kind of work needs: what waits is counted in places, what computes in cores.

A Python process computes on one core at most, whatever its threads. So a pool needs as many processes as it loads
cores, with a share of each free, and one more than could carry the load at all: one may be lost or restarting.
A payment mostly waits for its PSP: by Little's law as many are in hand at a time as come in the time one takes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from shared.config import Settings
from shared.messages import ALONE_OF, QUEUE_OF, Step
from shared.planning.costs import API, Costs
from shared.planning.question import Question

ROUND_TRIP_MS: Final = 1.0
"""Assumed, not measured: one question to PostgreSQL in the same room, its commit flushed to disk."""
PAYMENT: Final = QUEUE_OF[Step.PAY]
UPKEEP: Final = QUEUE_OF[Step.LOOK_UP]
ALONE: Final = ALONE_OF[Step.PAY]
SPARE_CHILDREN: Final = 2
"""Of the one worker in processes beside many in threads: one may die of its order and the other goes on."""
BESIDE: Final = frozenset({UPKEEP, ALONE})
"""Not on the way of an order that goes well."""
POOL_SIZE: Final[int] = Settings.model_fields["pool_size"].default
POLL_POOL_SIZE: Final[int] = Settings.model_fields["poll_pool_size"].default
CALLS_AT_ONCE: Final[int] = Settings.model_fields["psp_calls_at_once"].default
GREENLETS: Final = 1_000
"""Requests a process of the API has in hand (api/server.py)."""
MOST_ON_A_MACHINE: Final = 16
"""Processes of the API that one start runs: as many as a usual machine has cores."""
THREADS: Final = 256
"""Of a payment worker in threads; CALLS_AT_ONCE of them wait for one account, the others serve what else comes."""
THREADS_OF_A_QUEUE: Final = 4
"""Of a worker that computes, as deploy/up runs it: one computes while the others wait for PostgreSQL."""
CHILDREN: Final = 16
"""The most processes of a payment worker in processes: as many as deploy/bench measured under one."""
CONNECTIONS_OF_A_CHILD: Final = 2
"""Its step, and the heartbeat that renews its lease (workers/heartbeat.py)."""
PROCESSES_UP_TO: Final = 64
"""Places up to which payments are given a process each, so that a kill costs one payment's step; each holds some
100 MiB, so more of them are threads."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What takes places rather than cores."""

    hold_ms: float
    """How long one piece of work has its place."""
    held: float
    """Places that are taken on the average."""


@dataclass(frozen=True, slots=True)
class Pool:
    """The processes of one kind of work."""

    name: str
    processes: int
    places_each: int
    """Pieces of work a process has in hand."""
    load: float
    """Cores that are busy on the average."""
    cores: int
    """Cores to give them."""
    connections: int
    """To PostgreSQL, at most."""
    start: str
    """The command that starts *per* of them."""
    per: int = 1
    waiting: Waiting | None = None
    """Where places may be short as well."""

    @property
    def busy(self) -> float:
        """The share of its cores that is busy."""
        return self.load / self.cores

    @property
    def places(self) -> int:
        """Pieces of work that all of them may have in hand; of one PSP account no more than it is allowed."""
        return self.processes * min(self.places_each, CALLS_AT_ONCE)

    @property
    def taken(self) -> float:
        """The share of its places that is taken; 0 where nothing waits."""
        return self.waiting.held / self.places if self.waiting else 0.0

    def document(self) -> dict[str, Any]:
        """As a plan tells it."""
        told: dict[str, Any] = {
            "name": self.name,
            "processes": self.processes,
            "placesEach": self.places_each,
            "cores": self.cores,
            "coresBusy": round(self.load, 3),
            "busy": round(self.busy, 4),
            "connections": self.connections,
            "start": self.start,
            "startedTimes": math.ceil(self.processes / self.per),
        }
        if self.waiting:
            told |= {"placesTaken": round(self.waiting.held, 1), "taken": round(self.taken, 4)}
        return told


def enough(load: float, free: float) -> int:
    """Servers for a *load* in servers: a share *free* of them, and one more than must be."""
    return max(math.ceil(load / (1 - free)), least(load) + 1)


def least(load: float) -> int:
    """The fewest servers that carry *load* at all: with one fewer the queue grows for ever."""
    return math.floor(load) + 1


def of(question: Question, costs: Costs) -> Iterator[Pool]:
    """The pools of *question*, the front door first, then the queues in the order's way."""
    yield _front_door(question, costs)
    for queue, ms in costs.queues().items():
        if queue != PAYMENT:
            yield _queue(question, queue, ms)
            continue
        yield (paying := _payment(question, costs, ms))
        if paying.places_each > 1:
            yield _alone()


def _front_door(question: Question, costs: Costs) -> Pool:
    ms = costs.an_order(API, polls=question.polls_per_order)
    load = question.orders_per_second * ms / 1_000
    per, started = _spread(enough(load, question.free), MOST_ON_A_MACHINE)
    start = f"python -m api.main --workers {per}"
    processes = per * started
    connections = processes * (POOL_SIZE + POLL_POOL_SIZE)
    return Pool(API, processes, GREENLETS, load, processes, connections, start, per)


def _queue(question: Question, queue: str, ms: float) -> Pool:
    load = question.orders_per_second * ms / 1_000
    processes = enough(load, question.free)
    start = _command(queue, "threads", THREADS_OF_A_QUEUE)
    return Pool(queue, processes, THREADS_OF_A_QUEUE, load, processes, processes * POOL_SIZE, start)


def _payment(question: Question, costs: Costs, ms: float) -> Pool:
    load = question.orders_per_second * ms / 1_000
    cores = enough(load, question.free)
    hold_ms = question.psp_ms + ms + costs.engine_room.round_trips * ROUND_TRIP_MS
    held = question.orders_per_second * hold_ms / 1_000
    queues, waiting = ",".join((PAYMENT, *_beside_payment(costs))), Waiting(hold_ms, held)
    if (places := max(enough(held, question.free), cores)) <= PROCESSES_UP_TO:
        per, started = _spread(places, CHILDREN)
        connections, start = per * started * CONNECTIONS_OF_A_CHILD, _command(queues, "prefork", per)
        return Pool(PAYMENT, per * started, 1, load, cores, connections, start, per, waiting)
    processes = max(cores, enough(held / CALLS_AT_ONCE, question.free))
    start = _command(queues, "threads", THREADS)
    return Pool(PAYMENT, processes, THREADS, load, cores, processes * POOL_SIZE, start, waiting=waiting)


def _beside_payment(costs: Costs) -> list[str]:
    """The queues nobody else reads: where one pool takes an order through all its steps, it was measured as one."""
    return [queue for queue in dict.fromkeys(QUEUE_OF.values()) if queue not in costs.queues()]


def _spread(processes: int, most: int) -> tuple[int, int]:
    """How many processes each of how many starts has: at least two, so that no one machine holds all of them."""
    started = max(2, math.ceil(processes / most))
    return math.ceil(processes / started), started


def _alone() -> Pool:
    """Beside payment workers in threads: it alone reads the queue of orders that may have taken a worker down."""
    processes = SPARE_CHILDREN
    connections, start = processes * CONNECTIONS_OF_A_CHILD, _command(PAYMENT, "prefork", processes)
    return Pool(ALONE, processes, 1, 0.0, 1, connections, start, processes)


def _command(queues: str, pool: str, places: int) -> str:
    return f"celery -A workers.main worker -Q {queues} -P {pool} -c {places}"
