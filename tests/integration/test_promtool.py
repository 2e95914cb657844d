"""Prometheus' own tool agrees with its configuration, its alerts, and what raises them."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from tests.support.observability import FOLDER

WITHIN_S = 60


@pytest.mark.parametrize(
    "asked",
    [("check", "config", "prometheus.yml"), ("check", "rules", "alerts.yml"), ("test", "rules", "alerts_test.yml")],
    ids=" ".join,
)
def test_promtool_has_nothing_to_say(asked: tuple[str, ...]) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        why = "no promtool on the PATH: apt-get install prometheus"
        if "promtool" in os.environ.get("C2A_TEST_NEEDS", "").split():
            pytest.fail(why)
        pytest.skip(why)
    done = subprocess.run([promtool, *asked], cwd=FOLDER, capture_output=True, text=True, timeout=WITHIN_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
