"""deploy/bench measures every part and ends everything it started; what its figures say is for quiet machines."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from deploy.measure import traffic
from deploy.stack.home import ROOT

WITHIN_S: Final = 600
"""A quick run is mostly the start of some seventy processes; it took 280 s with seven others on each of two cores."""


def _bench(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """A bench whose report is in *folder* and whose data lies beside it."""
    assert traffic.is_there(), traffic.INSTALL
    (folder / "home").mkdir()
    return subprocess.Popen(
        [sys.executable, "-m", "deploy.stack", "bench", "--json", str(folder / "bench.json"), *arguments],
        cwd=ROOT,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "TMPDIR": str(folder / "home")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.timeout(WITHIN_S + 30)
def test_a_quick_run_measures_every_part(tmp_path: Path) -> None:
    with _bench(tmp_path, "--quick", "--scale", "20000") as bench:
        said, _ = bench.communicate(timeout=WITHIN_S)

    assert bench.returncode == 0, said
    told = json.loads((tmp_path / "bench.json").read_text())
    assert told["failures"] == {}
    assert told["notMeasured"] == []
    assert not list((tmp_path / "home").iterdir())


@pytest.mark.timeout(WITHIN_S)
def test_a_run_that_is_stopped_tells_what_it_measured(tmp_path: Path) -> None:
    said: list[str] = []
    with _bench(tmp_path, "--quick", "--only", "memory", "--scale", "20000") as bench:
        assert bench.stdout is not None
        for line in bench.stdout:
            said.append(line)
            if "20,000 finished orders" in line:  # They are filled; what is measured of them comes next.
                bench.send_signal(signal.SIGTERM)

    assert bench.returncode == 1, said
    told = json.loads((tmp_path / "bench.json").read_text())
    assert told["failures"] == {"scale": "stopped before its end"}
    assert "memory of an API process" in {figure["name"] for figure in told["figures"]}
    assert not list((tmp_path / "home").iterdir())
