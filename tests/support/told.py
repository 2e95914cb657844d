"""What does the log say of one subject? The whole process writes one log: a thread that an earlier test left waiting
for its broker may say so while another test listens, so a test that compares all lines names whose lines it means."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

from structlog.testing import capture_logs


@contextmanager
def told_of(subject: str) -> Iterator[list[MutableMapping[str, Any]]]:
    """The lines whose event begins with *subject* and a dot, there once the block has ended."""
    lines: list[MutableMapping[str, Any]] = []
    with capture_logs() as every:
        yield lines
    lines.extend(line for line in every if line["event"].startswith(f"{subject}."))
