"""Every advisory lock of the database has a number of its own: two of one number would keep each other out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
_NUMBER: Final = re.compile(r"^\w+: Final = (0x[0-9A-Fa-f]+)$", re.MULTILINE)
_TAKEN: Final = re.compile(r"pg_(?:try_)?advisory_(?:xact_)?lock")
_BY_NAME: Final = re.compile(r"hashtextextended\(f\"(\w+):")
_OF_ANOTHER_FILE: Final = re.compile(r"^from shared\.store\.news import .*\bLISTENS\b", re.MULTILINE)


def taking() -> Iterator[tuple[str, str]]:
    """The product's files that take advisory locks, by their names."""
    for room in ("api", "deploy", "shared", "workers"):
        for path in sorted((ROOT / room).rglob("*.py")):
            source = path.read_text()
            if _TAKEN.search(source):
                yield str(path.relative_to(ROOT)), source


def test_no_two_advisory_locks_have_one_number() -> None:
    numbers = {name: int(found.group(1), 16) for name, source in taking() if (found := _NUMBER.search(source))}
    assert len(numbers) == 5, numbers
    assert len(set(numbers.values())) == len(numbers), numbers


def test_no_two_advisory_locks_of_a_tenant_have_one_name() -> None:
    names = [name for _, source in taking() for name in _BY_NAME.findall(source)]
    assert sorted(names) == ["catalogue", "endpoints", "methods"]


def test_no_file_takes_an_advisory_lock_whose_number_is_not_compared_here() -> None:
    for name, source in taking():
        told = [_NUMBER.findall(source), _BY_NAME.findall(source), _OF_ANOTHER_FILE.findall(source)]
        assert sum(map(len, told)) == 1, name
