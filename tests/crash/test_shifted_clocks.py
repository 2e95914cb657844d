"""D1: a worker whose clock is wrong, jumps or runs ten times too fast takes nobody's lease and ends nobody's time.

The worker is a real one under libfaketime and does all there is to do: its steps, its heartbeat, the rescuer and the
examiner. Leases, deadlines and what is due are reckoned by the database's clock alone.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from shared.doorbell import Doorbell
from shared.messages import Step
from tests.crash import beginnings
from tests.support import faketime, worker_process
from tests.support.crash_case import Case, Floor
from tests.support.faketime import Clock
from tests.support.psp import until

OFF_S: Final = 600.0
"""Ten minutes: longer than any wait of the product but the vault's."""
LEASE_S: Final = 6
"""So long that a machine that is full does not end it by being late itself."""
ANSWER_DELAY_MS: Final = 6_500
"""Longer than a lease: a charge is in hand while it would end, and the clock jumps. After 10 s it would be given
up, and a disk that stands still before the answer may take what is left."""
USUAL: Final = ["admitted", "offer_held", "payment_started", "payment_captured", "method_stored"]
"""What happens to an order that nobody takes from its worker."""


@contextmanager
def restless(clock: Clock) -> Iterator[None]:
    """It runs ten times too fast and jumps forth and back by twenty minutes, four times a second."""
    over, began = threading.Event(), time.monotonic()

    def turn() -> None:
        while not over.wait(0.05):
            seconds = time.monotonic() - began
            clock.shift(9 * seconds + (OFF_S if int(seconds * 4) % 2 else -OFF_S))

    hand = threading.Thread(target=turn)
    hand.start()
    try:
        yield
    finally:
        over.set()
        hand.join()


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Clock:
    """The clock of the floor's only worker."""
    return faketime.clock(tmp_path_factory.mktemp("clock"))


@pytest.fixture(scope="module")
def worker_log(floor: Floor, clock: Clock, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What that worker writes while it runs."""
    folder = tmp_path_factory.mktemp("astray")
    settings = floor.settings.model_copy(update={"lease_s": LEASE_S})
    with worker_process.running(settings, folder, clock.environment):
        yield folder / "worker.log"


@pytest.fixture
def doorbell(floor: Floor) -> Iterator[Doorbell]:
    bell = Doorbell(floor.settings.broker_url.get_secret_value())
    yield bell
    bell.close()


def test_whatever_a_workers_clock_says_leases_and_deadlines_go_by_the_databases(
    case: Case, clock: Clock, worker_log: Path, doorbell: Doorbell
) -> None:
    clock.shift(OFF_S)
    challenged = case.accepted(beginnings.pay_with(beginnings.CHALLENGED_CARD))
    until(lambda: case.state(challenged) == "challenge", seconds=20)
    looked_up(case, challenged, doorbell)  # By the worker's clock its shopper's minute was over long ago.
    case.floor.sandbox.set_faults(answerDelayMs=ANSWER_DELAY_MS)
    claimed_ahead = paying(case)
    clock.shift(-OFF_S)
    claimed_behind = paying(case)

    with restless(clock):
        for number in (claimed_ahead, claimed_behind):
            watch(case, number, ring=lambda number=number: doorbell.ring(Step.PAY, number))  # type: ignore[misc]
    assert case.state(challenged) == "challenge", "its shopper has time"
    case.floor.sandbox.heal()

    for number in (claimed_ahead, claimed_behind):
        until(lambda number=number: case.state(number) == "done", seconds=20)  # type: ignore[misc]
        assert told(case, number) == USUAL
        assert max(map(abs, clock_errors(worker_log, number))) > OFF_S / 2, "the worker's clock was right all the time"
    assert case.violations() == []


def paying(case: Case) -> str:
    """An order whose charge the worker has in hand."""
    number = case.accepted(beginnings.pay_with())
    until(lambda: case.state(number) == "paying", seconds=20)
    return number


def looked_up(case: Case, number: str, doorbell: Doorbell) -> None:
    """Ring for a look-up, and wait until the worker has read the order and its PSP was asked."""
    sandbox = case.floor.sandbox
    sandbox.set_faults(slowSeconds=0, next=[{"kind": "slow", "on": "lookUp"}])  # Slower by nothing: it is used up.
    doorbell.ring(Step.LOOK_UP, number)
    until(lambda: not sandbox.get("/faults")["next"], seconds=20)


def watch(case: Case, number: str, *, ring: Callable[[], None]) -> None:
    """Look at an order until it is paid, its step being rung for again and again: nobody may take it."""

    def is_paid() -> bool:
        ring()
        leased = case.is_leased(number)  # Before its state: the commit that ends the one changes the other.
        if case.state(number) != "paying":
            return True
        assert leased, "a lease was let go of before its time"
        return False

    until(is_paid, seconds=20)


def clock_errors(log: Path, number: str) -> list[float]:
    """How many seconds off the worker's clock was when it wrote of an order."""
    lines = [json.loads(line) for line in log.read_text().splitlines() if number in line]
    times = [datetime.fromisoformat(line["timestamp"]) for line in lines]
    return [(time_of_day - datetime.now(UTC)).total_seconds() for time_of_day in times]


def told(case: Case, number: str) -> list[str]:
    """What happened to an order, in order."""
    events = [event for event in case.records().database.events if event.tracking_number == number]
    return [event.event for event in sorted(events, key=lambda one: one.version)]
