"""The product's processes as a part of the bench runs them: as deploy/up does, but for the one PSP more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import psutil

from deploy.stack import product
from deploy.stack.home import Home
from deploy.stack.product import Wiring, Worker
from deploy.stack.program import Program

DOOR: Final = "deploy.measure.worker"
UPKEEP: Final = "upkeep"


def workers(home: Home, wiring: Wiring, pools: Sequence[Worker] = product.ONE_POOL) -> list[Program]:
    """The workers of deploy/up --one-pool, as for the most orders a second; or others of its *pools*."""
    return [_with_one_more_psp(product.worker(which, home, wiring)) for which in pools]


def single_workers(home: Home, wiring: Wiring) -> list[Program]:
    """One place for all steps, and no upkeep: what it costs is the orders' alone."""
    return [_with_one_more_psp(product.worker(replace(product.ONE_POOL[0], concurrency=1), home, wiring))]


def queues() -> list[str]:
    """The queues on the way of an order, the first one first."""
    return [which.queue for which in product.WORKERS if which.queue != UPKEEP]


def pools() -> list[Worker]:
    """The workers on the way of an order, one a queue."""
    return [which for which in product.WORKERS if which.queue != UPKEEP]


def family(root: psutil.Process) -> list[psutil.Process]:
    """*root* and all that came of it; those that end meanwhile are left out."""
    try:
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _with_one_more_psp(program: Program) -> Program:
    return replace(program, argv=tuple(DOOR if part == "workers.main" else part for part in program.argv))
