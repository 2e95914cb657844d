"""What the locks promise: they hold what pyproject.toml asks for (hashes and addresses: test_audit.py)."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ASKED = {
    "requirements.txt": PROJECT["dependencies"] + PROJECT["optional-dependencies"]["embedded"],
    "requirements-test.txt": PROJECT["dependencies"]
    + PROJECT["optional-dependencies"]["embedded"]
    + PROJECT["optional-dependencies"]["test"],
}


def locked(lock: str) -> dict[str, str]:
    text = (ROOT / "deploy" / lock).read_text()
    return dict(re.findall(r"^([a-z0-9-]+)==([^ ]+)", text, flags=re.MULTILINE))


@pytest.mark.parametrize("lock", ASKED)
def test_everything_asked_for_is_locked_in_a_version_that_suits(lock: str) -> None:
    versions = locked(lock)

    for line in ASKED[lock]:
        asked = Requirement(line)
        name = re.sub(r"[-_.]+", "-", asked.name).lower()
        assert name in versions, f"{name} is not in deploy/{lock}: run deploy/lock"
        assert versions[name] in asked.specifier, f"deploy/{lock} holds an unsuitable {name}: run deploy/lock"


def test_the_tests_run_on_the_versions_that_are_shipped() -> None:
    assert locked("requirements.txt").items() <= locked("requirements-test.txt").items()
