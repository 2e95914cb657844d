"""A process that was stopped for a test runs no more, whichever of its threads is the last to hear of it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from tests.support import stopping
from tests.support.psp import until

COUNTING = """
import os, threading

os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

def count():
    turns = 0
    while True:
        os.pwrite(1, b"%020d" % (turns := turns + 1), 0)

threading.Thread(target=count).start()
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
threading.Event().wait()
"""
"""Its main thread is given what nobody else wants of a processor that the other never leaves: the last to hear."""
ROUNDS = 20
A_WHILE_S = 0.02


@pytest.fixture
def counting(tmp_path: Path) -> Iterator[tuple[psutil.Process, Path]]:
    told = tmp_path / "told"
    with told.open("wb") as out, subprocess.Popen([sys.executable, "-c", COUNTING], stdout=out) as process:
        until(told.read_bytes)
        yield psutil.Process(process.pid), told
        process.kill()


def test_no_thread_of_a_stopped_process_goes_on(counting: tuple[psutil.Process, Path]) -> None:
    process, told = counting
    for _ in range(ROUNDS):
        stopping.stop(process)
        before = told.read_bytes()
        time.sleep(A_WHILE_S)  # What runs on would count thousands.
        assert told.read_bytes() == before
        process.resume()
        until(partial(has_changed, told, before))


def has_changed(told: Path, before: bytes) -> bool:
    return told.read_bytes() != before
