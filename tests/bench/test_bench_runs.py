"""deploy/bench measures every part and ends everything it started; what its figures say is for quiet machines."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from deploy.measure import traffic
from deploy.measure.figures import GOALS
from deploy.stack.home import ROOT

WITHIN_S: Final = 600
"""A quick run is mostly the start of some sixty processes; it took 280 s with seven others on each of two cores."""


@pytest.mark.timeout(WITHIN_S + 30)
def test_a_quick_run_measures_every_part(tmp_path: Path) -> None:
    assert traffic.is_there(), traffic.INSTALL
    file = tmp_path / "bench.json"
    temporary = tmp_path / "home"
    temporary.mkdir()

    done = subprocess.run(
        [sys.executable, "-m", "deploy.stack", "bench", "--quick", "--json", file],
        cwd=ROOT,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(file.read_text())
    assert told["failures"] == {}
    assert set(told["notMeasured"]) == {name for name in GOALS if "large" in name or "many waiting" in name}
    assert not list(temporary.iterdir())
