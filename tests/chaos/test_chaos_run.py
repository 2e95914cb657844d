"""All processes real, everything broken: a minute of load and faults, and not one promise broken.

`c2a crashtest` as an operator runs it, on a stack of its own. A run below its floor of load or faults proves nothing,
so it is as red as a broken promise (exit code 2 and 1).
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support import stack as stacks

pytestmark = pytest.mark.timeout(600)

SEED: Final = 10_120
"""A plan of 14 faults that holds each of the 14 classes once."""
CLASSES: Final = frozenset(
    {
        "API killed",
        "worker killed",
        "whole worker group killed",
        "worker stopped past its lease",
        "poison order",
        "broker killed",
        "broker flushed or out of memory",
        "broker silent",
        "Postgres killed",
        "connection cut at COMMIT",
        "sessions terminated",
        "PSP answer lost after the charge",
        "PSP 5xx, 429 or down",
        "webhooks late, doubled, reordered or lost",
    }
)
RATE: Final = 21
"""Orders a second that come: just above the floor of 20, as two cores serve the faults, too."""
WITHIN_S: Final = 480
"""Under three minutes when all is well; one that is late waits for its rest (380 s at most) and tells what is late."""


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, dict[str, Any], str]:
    """The exit code, the report and the words of one run."""
    records = tmp_path_factory.mktemp("chaos") / "records"
    command = [str(Path(sys.executable).with_name("c2a")), "crashtest", "--json", "--minutes", "1", "--seed", str(SEED)]
    with stacks.folder() as home, stacks.running(home):
        asked = ["--rate", str(RATE), "--stack", str(home / "stack.json"), "--out", str(records)]
        done = subprocess.run([*command, *asked], capture_output=True, text=True, check=False, timeout=WITHIN_S)
    return done.returncode, json.loads(done.stdout or "{}"), done.stderr


def test_a_minute_of_faults_under_load_breaks_no_promise(ended: tuple[int, dict[str, Any], str]) -> None:
    code, report, words = ended
    assert code != 2, (report.get("invalid"), words)
    assert report["violations"] == []
    assert code == 0


def test_the_run_was_one(ended: tuple[int, dict[str, Any], str]) -> None:
    """The command's own floors, held here once more by the figures it tells."""
    _, report, _ = ended
    assert report["ordersPerSecond"] >= 20
    assert report["faultsTotal"] >= 12
    assert set(report["faults"]) == CLASSES
    assert report["hitWorkInFlight"] >= 0.8
    assert report["bound"] == pytest.approx(3 / report["orders"], rel=0.01)


def test_all_is_terminal_within_a_minute_of_the_last_fault(ended: tuple[int, dict[str, Any], str]) -> None:
    _, report, _ = ended
    assert report["recovery"]["faultsOverToAllTerminalS"] <= 60
    assert report["recovery"]["postgresBackToNext202S"]["longest"] <= 5
