"""The plan for a load: shards, processes, connections and servers, what is full first and what to do then.

Where one installation cannot carry the load, its tenants are spread over several (shards), each with a database, a
broker and a vault of its own; the plan is then of one of them, at its part of the load.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from shared.config import Settings
from shared.planning import parts, pools, words
from shared.planning.costs import Costs
from shared.planning.parts import Part
from shared.planning.pools import ROUND_TRIP_MS, Pool
from shared.planning.question import Question

MOST_CONNECTIONS: Final = 500
"""To one PostgreSQL without a pooler. Each is a process of 5 to 10 MB, idle or not: 5 GB of memory that caches nothing;
and after a failover each is forked and authenticated anew, in one moment."""
BACKLOG: Final = timedelta(hours=1)
"""What the broker must hold while workers are away; the rescuer rings again for what it cannot."""
MONTH: Final = timedelta(days=30)
ROOM_FOR_DEAD_ROWS: Final = 1.5
"""Assumed: states are updated in place of rows that vacuum frees later; the live bytes were measured."""
VAULT_TTL: Final = timedelta(seconds=Settings.model_fields["vault_ttl_s"].default)
_ROUNDING: Final = 1e-9
"""What floating point may add to a share that is exactly full."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What one shard needs, and how many shards there are."""

    asked: Question
    question: Question
    """Of one shard."""
    costs: Costs
    shards: int
    pools: tuple[Pool, ...]
    parts: tuple[Part, ...]

    @property
    def in_one(self) -> list[Part]:
        """The parts as they would be in one installation that takes all of the load, the first to be full in front."""
        return sorted(parts.of(self.asked, self.costs), key=lambda part: part.carries)

    @property
    def first_full(self) -> Part:
        """What one installation is limited by."""
        return self.in_one[0]

    @property
    def faults(self) -> list[str]:
        """What is asked for more than it carries however many shards there are, in sentences."""
        rate = self.asked.orders_per_second
        return [
            f"{part.name}: it carries {words.number(part.carries)} of {words.number(rate)} orders/s; {part.then}"
            for part in self.in_one
            if not part.splits and part.carries < rate * (1 - _ROUNDING)
        ]

    @property
    def messages(self) -> float:
        """Published a second."""
        return self.per_second(self.costs.order.messages)

    @property
    def connections(self) -> int:
        """To the PostgreSQL of a shard, at most."""
        return sum(pool.connections for pool in self.pools)

    @property
    def needs_pgbouncer(self) -> bool:
        """Whether a pooler has to stand before PostgreSQL."""
        return self.connections > MOST_CONNECTIONS

    @property
    def round_trips(self) -> float:
        """To PostgreSQL, a second; each commits at most once. A poll is one."""
        return self.question.orders_per_second * (self.costs.order.round_trips + self.question.polls_per_order)

    @property
    def active_connections(self) -> int:
        """Connections on which something is under way: what a pooler has to keep open."""
        return math.ceil(self.round_trips * ROUND_TRIP_MS / 1_000 / (1 - self.question.free))

    def per_second(self, amount: float) -> float:
        """*amount* an order, a second."""
        return self.question.orders_per_second * amount

    @property
    def disk_a_month(self) -> float:
        """Bytes."""
        return self.per_second(self.costs.disk_bytes) * MONTH.total_seconds() * ROOM_FOR_DEAD_ROWS

    @property
    def broker_memory(self) -> float:
        """Bytes of an hour's backlog."""
        return self.per_second(self.costs.message_bytes) * BACKLOG.total_seconds()

    @property
    def vault_memory(self) -> float:
        """Bytes, with every card kept to the end of its time, as while no PSP answers."""
        return self.per_second(self.costs.card_bytes) * VAULT_TTL.total_seconds()

    def document(self) -> dict[str, Any]:
        """For programs; all but `asked` and `shards` is of one shard."""
        return {
            "asked": self.asked.document(),
            "shards": self.shards,
            "ordersPerSecondOfAShard": self.question.orders_per_second,
            "pools": [pool.document() for pool in self.pools],
            "parts": [part.document() for part in self.parts],
            "firstFull": {
                "name": self.first_full.name,
                "ordersPerSecond": float(f"{self.first_full.carries:.4g}"),
                "then": self.first_full.then,
            },
            "postgres": {
                "connectionsAtMost": self.connections,
                "connectionsActive": self.active_connections,
                "pgbouncer": self.needs_pgbouncer,
                "statementsPerSecond": round(
                    self.per_second(self.costs.order.statements + self.question.polls_per_order)
                ),
                "roundTripsPerSecond": round(self.round_trips),
                "diskBytesAMonth": round(self.disk_a_month),
            },
            "broker": {
                "messagesPerSecond": round(self.messages),
                "memoryBytesOfAnHour": round(self.broker_memory),
            },
            "vault": {"memoryBytes": round(self.vault_memory)},
            "costs": {"measuredOn": self.costs.measured_on, "quick": self.costs.quick},
        }


def make(asked: Question, costs: Costs) -> Plan:
    """The plan for *asked*."""
    carries = min(part.carries for part in parts.of(asked, costs) if part.splits)
    shards = max(1, math.ceil(asked.orders_per_second / carries - _ROUNDING))
    question = asked.share(shards)
    return Plan(asked, question, costs, shards, tuple(pools.of(question, costs)), tuple(parts.of(question, costs)))
