"""The supply chain as far as a machine without a network can judge it; a part of `deploy/test lint`.

Every file that is installed is named by version and hash, from whatever mirror it comes; what is installed here is what
is locked, with all it needs; and no version is one of deploy/known-bad.txt, which tells how it is renewed.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from deploy.stack.home import ROOT

LOCKS: Final = ("requirements.txt", "requirements-test.txt")
EVERYTHING: Final = LOCKS[1]
"""The lock that holds all the others hold."""
KNOWN_BAD: Final = "known-bad.txt"
UNLOCKED: Final = frozenset({"c2a-checkout", "pip", "setuptools", "wheel"})
"""Ourselves, and what makes a virtual environment before anything of ours is installed."""
_PIN: Final = re.compile(r"(?P<name>[a-z0-9-]+)==(?P<version>[^\s;]+)(?P<marker> ; [^\\]+)? \\")
_HASH: Final = re.compile(r" {4}--hash=sha256:[0-9a-f]{64}( \\)?")


def main() -> int:
    """Tell every finding; 1 if there is one."""
    findings = [*_of_locks(ROOT / "deploy"), *unlocked(ROOT / "deploy" / EVERYTHING, distributions())]
    for finding in findings:
        print(f"audit: {finding}")
    return 1 if findings else 0


def _of_locks(folder: Path) -> Iterator[str]:
    bad = (folder / KNOWN_BAD).read_text()
    for lock in LOCKS:
        text = (folder / lock).read_text()
        yield from (f"{lock}: {finding}" for finding in (*unpinned(text), *known_bad(text, bad)))


def unpinned(lock: str) -> Iterator[str]:
    """What in the text of a lock is not a name, one version, and the SHA-256 of each of its files."""
    for entry in re.split(r"\n(?=\S)", lock.strip()):
        first, *hashes = entry.split("\n")
        if not _PIN.fullmatch(first):
            yield f"{first.split(' ')[0]!r} is no pinned version: run deploy/lock"
        elif not hashes or not all(_HASH.fullmatch(line) for line in hashes):
            yield f"{first.split(' ')[0]} has no hash, or something else than hashes: run deploy/lock"


def known_bad(lock: str, bad: str) -> Iterator[str]:
    """The versions of a lock's text that the list *bad* names; a line it cannot read is a finding, too."""
    locked = pins(lock)
    for line in bad.splitlines():
        text, _, why = line.partition("#")
        if not text.strip():
            continue
        try:
            asked = Requirement(text)
        except InvalidRequirement:
            yield f"{KNOWN_BAD} has a line that is no requirement: {text.strip()!r}"
            continue
        for version in locked.get(canonicalize_name(asked.name), ()):
            if asked.specifier.contains(version, prereleases=True):
                yield f"{asked.name} {version} is known bad ({why.strip()}): deploy/lock --upgrade-package {asked.name}"


def unlocked(lock: Path, installed: Iterable[Distribution]) -> Iterator[str]:
    """What is installed here, or needed by it, and not in *lock* in that version."""
    locked = pins(lock.read_text())
    for one in installed:
        name = canonicalize_name(one.metadata["Name"])
        if name in UNLOCKED:
            continue
        if one.version not in locked.get(name, ()):
            yield f"{name} {one.version} is installed and not locked: make .venv anew, or run deploy/lock"
        for need in map(Requirement, one.requires or ()):
            applies = need.marker is None or need.marker.evaluate({"extra": ""})
            if applies and canonicalize_name(need.name) not in {*locked, *UNLOCKED}:
                yield f"{name} needs {need.name}, which is not locked: run deploy/lock"


def pins(lock: str) -> Mapping[str, set[str]]:
    """Every name of a lock's text with its versions; more than one where they differ by Python version."""
    found: dict[str, set[str]] = {}
    for pin in _PIN.finditer(lock):
        found.setdefault(pin["name"], set()).add(pin["version"])
    return found


if __name__ == "__main__":
    sys.exit(main())
