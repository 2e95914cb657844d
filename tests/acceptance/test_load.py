"""c2a load at the real stack: a few seconds of shoppers, all of whom come to an end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from deploy.load.shopper import MOST_POLLS
from shared.store.keys import KeyRole
from tests.support.psp_side import PspSide
from tests.support.stack import Stack
from tests.support.stack_rows import StackRows

ROOT: Final = Path(__file__).parents[2]
RATE, SECONDS = 4, 8
WITHIN_S: Final = 110.0
"""The run's own bound is 98 s."""


def loaded(*options: str, key: str = "") -> tuple[int, dict[str, Any]]:
    """The exit code and the report of a run."""
    words = ["--rate", str(RATE), "--seconds", str(SECONDS), "--think", "0.2", "--json", *options]
    command = [sys.executable, "-c", "from deploy.load.command import load; load()", *words]
    env = os.environ | {"C2A_KEY": key}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=WITHIN_S)
    assert done.stdout, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, document


@pytest.mark.parametrize("held", ["0", "1"])
def test_every_shopper_of_a_load_comes_to_an_end(stack: Stack, psp: PspSide, held: str) -> None:
    shares = ["--challenges", "0.2", "--stored", "0.2", "--declines", "0.2"]
    code, told = loaded("--stack", str(stack.home / "stack.json"), "--seed", "7", "--held", held, *shares)

    assert (code, told["left"]) == (0, {})
    assert told["arrived"] == told["accepted"] == sum(told["ended"].values()) == RATE * SECONDS
    assert set(told["ended"]) == {"CHECK_OUT_DONE", "CHECK_OUT_FAILED"}
    assert told["calls"]["submit"]["codes"] == {"202": RATE * SECONDS}
    assert told["calls"]["submit"]["p99Ms"] >= told["calls"]["submit"]["p50Ms"] > 0
    assert told["polls"]["most"] <= 2 * MOST_POLLS  # A redirect begins them again.
    assert {"keep", "offer", "page", "return"} < set(told["calls"])
    assert stack.api_key not in json.dumps(told)


def test_shoppers_who_are_refused_are_told_and_the_run_has_failed(stack: Stack, rows: StackRows) -> None:
    reader = rows.new_key(KeyRole.READ_ONLY)
    code, told = loaded(
        "--url", stack.base_url, "--tenant", stack.tenant, "--stored", "0", "--seconds", "2", key=reader
    )

    assert (code, told["left"], told["accepted"]) == (1, {"FORBIDDEN": RATE * 2}, 0)
    assert told["calls"]["offer"]["codes"] == {"403": RATE * 2}
    assert reader not in json.dumps(told)
