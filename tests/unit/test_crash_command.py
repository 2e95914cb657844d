"""c2a crashtest is a command like the others, though its package stands above theirs."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner

from deploy.crashtest.target import Target, send
from shared.cli.main import main


def test_the_command_is_found_and_its_help_tells_what_its_exit_codes_mean() -> None:
    told = CliRunner().invoke(main, ["crashtest", "--help"])
    assert told.exit_code == 0
    for line in ("0  every promise was kept", "1  a promise was broken", "2  no verdict"):
        assert line in told.output


def test_without_a_stack_there_is_no_verdict(tmp_path: Path) -> None:
    """Exit code 2, a sentence that says what to do, and no folder left behind."""
    told = CliRunner().invoke(main, ["crashtest", "--stack", str(tmp_path / "stack.json")])
    assert told.exit_code == 2
    assert "start a stack with deploy/up" in told.output
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def sleeper() -> Iterator[psutil.Process]:
    """A process that belongs to nobody else."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield psutil.Process(process.pid)
    process.kill()
    process.wait()


def stack_of(home: Path, process: psutil.Process, *, started: float) -> Target:
    """A stack whose note says that its API is *process* and began at *started*."""
    (home / "run").mkdir()
    (home / "run" / "processes.json").write_text(json.dumps({str(process.pid): started}))
    (home / "stack.json").write_text(json.dumps({"processes": {"api": [process.pid]}}))
    return Target(home / "stack.json")


def test_a_process_the_stack_noted_is_its_own(tmp_path: Path, sleeper: psutil.Process) -> None:
    family = stack_of(tmp_path, sleeper, started=sleeper.create_time()).family("api")
    assert [one.pid for one in family] == [sleeper.pid]
    assert send(family, signal.SIGKILL) == 1
    assert sleeper.wait(5) == -signal.SIGKILL


def test_a_stranger_who_got_the_number_of_a_dead_process_is_left_alone(tmp_path: Path, sleeper: psutil.Process) -> None:
    assert stack_of(tmp_path, sleeper, started=sleeper.create_time() - 60).family("api") == []
