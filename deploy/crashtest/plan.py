"""Which fault comes when: dealt from a shuffled deck of all kinds, so that every kind comes before any comes twice.

Pure and seeded: the same seed, length and stack give the same plan. What a fault meets is not repeatable, as processes
and shoppers run on; the plan and the dice are.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from deploy.crashtest import process_faults, psp_faults, rabbitmq_faults, server_faults
from deploy.crashtest.hand import Blow, Hand

FIRST_S: Final = 3.0
"""The crowd has orders everywhere by then."""
EVERY_S: Final = 3.9
"""15 faults a minute: long enough for most parts to be back before the next one goes."""
SETTLING_S: Final = 56.0
"""A charge the PSP never wrote down can be proven absent after 60 s (lease limit and longest processing, 30 s each),
and is by the next look-up, some 92 s after it was sent; then it is sent again. Begun so long before the end of the
load, that is over within a minute after it."""


@dataclass(frozen=True, slots=True)
class FaultKind:
    """One kind of fault: its class in the report, what it hurts, and how long before the end of load it must begin."""

    name: str
    family: str
    hurts: str
    strike: Callable[[Hand], Awaitable[Blow]]
    kills: bool = False
    before_end_s: float = 0.0


PAYMENT: Final = "worker-payment"
_STOP_S: Final = process_faults.STOPPED_S
_POISON_S: Final = 25.0
"""Five leases and looks; what is left of it after the load is a part of the recovery."""
OF_NO_PROGRAM: Final = frozenset({"stop", "psp", "webhooks"})
"""What hurts no program of its own: it waits for no other fault of a program, and none for it."""

KINDS: Final = (
    FaultKind("api-worker-killed", "API killed", "api", process_faults.api_worker_killed, kills=True),
    FaultKind("api-killed", "API killed", "api", process_faults.api_killed, kills=True),
    FaultKind(
        "payment-child-killed", "worker killed", "worker-payment", process_faults.worker_child_killed, kills=True
    ),
    FaultKind("worker-killed", "worker killed", "worker-payment", process_faults.worker_killed, kills=True),
    FaultKind(
        "workers-killed", "whole worker group killed", "worker-payment", process_faults.all_workers_killed, kills=True
    ),
    FaultKind(
        "worker-stopped", "worker stopped past its lease", "stop", process_faults.worker_stopped, before_end_s=_STOP_S
    ),
    FaultKind(
        "poison-order", "poison order", "webhooks", process_faults.poison_order, kills=True, before_end_s=_POISON_S
    ),
    FaultKind("broker-killed", "broker killed", "redis-broker", server_faults.broker_killed, kills=True),
    FaultKind("broker-flushed", "broker flushed or out of memory", "redis-broker", server_faults.broker_flushed),
    FaultKind("broker-full", "broker flushed or out of memory", "redis-broker", server_faults.broker_full),
    FaultKind("broker-silent", "broker silent", "redis-broker", server_faults.broker_silent),
    FaultKind("vault-killed", "vault killed", "redis-vault", server_faults.vault_killed, kills=True),
    FaultKind("postgres-killed", "Postgres killed", "postgres", server_faults.postgres_killed, kills=True),
    FaultKind("sessions-ended", "sessions terminated", "postgres", server_faults.sessions_terminated),
    FaultKind("commits-cut", "connection cut at COMMIT", "postgres", server_faults.commits_cut),
    FaultKind("psp-answers-lost", "PSP answer lost after the charge", "psp", psp_faults.answers_lost),
    FaultKind("psp-429", "PSP 5xx, 429 or down", "psp", psp_faults.refuses),
    FaultKind("psp-5xx", "PSP 5xx, 429 or down", "psp", psp_faults.fails, before_end_s=SETTLING_S),
    FaultKind("psp-down", "PSP 5xx, 429 or down", "psp", psp_faults.is_down, before_end_s=SETTLING_S),
    FaultKind("psp-slow", "PSP slow", "psp", psp_faults.is_slow),
    FaultKind("webhooks", "webhooks late, doubled, reordered or lost", "webhooks", psp_faults.webhooks_troubled),
    FaultKind("rabbitmq-killed", "broker killed", "rabbitmq", rabbitmq_faults.killed, kills=True),
    FaultKind("rabbitmq-emptied", "broker flushed or out of memory", "rabbitmq", rabbitmq_faults.emptied),
    FaultKind("rabbitmq-silent", "broker silent", "rabbitmq", rabbitmq_faults.silent),
)


@dataclass(frozen=True, slots=True)
class Planned:
    """A fault and the second of the run at which it begins."""

    at_s: float
    kind: FaultKind


def deal(dice: random.Random, *, seconds: float, programs: frozenset[str]) -> list[Planned]:
    """The faults of a run of *seconds* against a stack that has *programs* of its own."""
    # There may be several of a kind: worker-payment-1, -2 (process_faults.py).
    deck = [kind for kind in KINDS if any(name.startswith(kind.hurts) for name in programs | OF_NO_PROGRAM)]
    deck = [kind for kind in deck if kind.before_end_s <= seconds - FIRST_S]
    slots = [FIRST_S + number * EVERY_S for number in range(int((seconds - FIRST_S) / EVERY_S))]
    planned: list[Planned] = []
    for start in range(0, len(slots), len(deck)):
        planned += _dealt(dice, slots[start : start + len(deck)], deck, seconds)
    return planned


def _dealt(dice: random.Random, slots: list[float], deck: list[FaultKind], seconds: float) -> list[Planned]:
    """One deck over *slots*, the last slot first: it is the one that fewest kinds may take."""
    left, dealt = list(deck), list[Planned]()
    for slot in reversed(slots):
        fits = [kind for kind in left if slot + kind.before_end_s <= seconds]
        kind = dice.choice(fits)
        left.remove(kind)
        dealt.append(Planned(slot, kind))
    return dealt[::-1]
