"""The audit of the supply chain: it passes what is locked, and a lock or a machine that was tampered with fails it."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import Distribution, PathDistribution, distributions
from pathlib import Path
from typing import Final

import pytest

from deploy.stack import audit, checks
from deploy.stack.home import ROOT

LOCK: Final = (ROOT / "deploy" / audit.EVERYTHING).read_text()
BAD: Final = (ROOT / "deploy" / audit.KNOWN_BAD).read_text()
FLASK: Final = next(line for line in LOCK.splitlines() if line.startswith("flask=="))
HASH: Final = next(line for line in LOCK.splitlines() if "--hash" in line)


def test_deploy_test_lint_audits() -> None:
    assert ("python", "-m", "deploy.stack.audit") in checks.LINT


def test_what_is_locked_and_installed_passes() -> None:
    assert audit.main() == 0


@pytest.mark.parametrize(
    "tampered",
    [
        lambda lock: lock.replace(FLASK, FLASK.replace("==", ">=")),
        lambda lock: lock.replace(FLASK, "flask @ https://example.test/flask.whl \\"),
        lambda lock: lock.replace(FLASK, "flask \\"),
        lambda lock: lock.replace(FLASK, "stray==1.0\n" + FLASK),
        lambda lock: lock.replace(HASH, HASH.replace("sha256", "md5"), 1),
        lambda lock: lock.replace(HASH, HASH[:-10] + " \\", 1),
        lambda lock: "--index-url https://example.test/simple\n" + lock,
        lambda lock: "--extra-index-url=https://example.test/simple\n" + lock,
    ],
    ids=["a range", "an address", "no version", "no hash", "a weak hash", "half a hash", "an index", "another index"],
)
def test_a_lock_that_names_anything_but_versions_and_hashes_fails(tampered: Callable[[str], str]) -> None:
    assert list(audit.unpinned(LOCK)) == []
    assert list(audit.unpinned(tampered(LOCK))) != []


def test_a_version_on_the_list_of_known_bad_ones_fails_and_says_what_to_do() -> None:
    [finding] = audit.known_bad(f"werkzeug==2.3.0 \\\n{HASH}\n", BAD)
    assert "CVE-2024-34069" in finding
    assert "deploy/lock --upgrade-package werkzeug" in finding
    assert list(audit.known_bad(LOCK, BAD)) == []


def test_a_list_that_cannot_be_read_fails() -> None:
    assert list(audit.known_bad(LOCK, "flask is bad\n")) != []


def test_the_list_names_only_what_we_lock_and_tells_how_to_renew_it() -> None:
    names = {line.split("<")[0].split(">")[0].strip() for line in BAD.splitlines() if line and line[0] != "#"}
    assert names <= audit.pins(LOCK).keys()
    assert "pip-audit" in BAD


def test_what_is_installed_and_not_locked_fails(tmp_path: Path) -> None:
    metadata = "Metadata-Version: 2.1\nName: Stray\nVersion: 1.0\nRequires-Dist: nowhere>=1\n"
    folder = tmp_path / "stray-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(metadata)
    strays: list[Distribution] = [PathDistribution(folder)]

    found = list(audit.unlocked(ROOT / "deploy" / audit.EVERYTHING, strays))

    assert [line.split(":")[0] for line in found] == [
        "stray 1.0 is installed and not locked",
        "stray needs nowhere, which is not locked",
    ]
    assert list(audit.unlocked(ROOT / "deploy" / audit.EVERYTHING, distributions())) == []
