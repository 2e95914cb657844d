"""c2a crashtest in small on the other broker: messages are lost with it in every way, and no promise is broken.

A run of the size that proves something (tests/chaos) takes a machine of its own; what this one holds is that a broker
which is killed, emptied or silent, beside workers and a database that die, costs no order here either.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from deploy.crashtest.run import Asked, Progress, crash
from deploy.crashtest.target import Target
from tests.support.stack import Stack

SEED: Final = 17_269
"""Its plan has all that can happen to RabbitMQ, workers that are killed, and PostgreSQL that is."""
SECONDS: Final = 24.0
RATE: Final = 6.0
"""Orders a second: there is work in hand at every fault, and what is beside this test has its machine."""
MET: Final = {"broker killed", "broker silent", "Postgres killed"}
EMPTIED: Final = "broker flushed or out of memory"
"""It may find no message that waits, and counts as no fault then; that it was done stands among those that struck."""


@pytest.mark.usefixtures("well")
def test_a_broker_that_is_killed_emptied_and_silent_under_load_breaks_no_promise(
    stack: Stack, tmp_path: Path, say: Callable[[str], None]
) -> None:
    asked = Asked(Target(stack.home / "stack.json"), tmp_path, SEED, SECONDS, RATE, say, Progress())

    told: dict[str, Any] = asyncio.run(crash(asked)).document

    assert told["violations"] == []
    assert set(told["faults"]) >= MET
    struck = [json.loads(line) for line in (tmp_path / "faults.jsonl").read_text().splitlines()]
    assert EMPTIED in {fault["family"] for fault in struck}
    assert told["orders"] >= SECONDS * RATE / 2
    assert told["openMoney"] == 0
    say(f"{told['orders']} orders, {told['faultsTotal']} faults, {told['hitWorkInFlight']:.0%} of them met work")
