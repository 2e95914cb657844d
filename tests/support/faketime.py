"""A clock of its own for one process: libfaketime, whose time is read from a file at every look, so that it can jump.

Only the clock that tells the time of day is shifted. The monotonic one is not: no operator and no NTP server sets it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

NAME: Final = "libfaketime"
PLACES: Final = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/lib*/faketime/libfaketimeMT.so.1")
"""Where Debian's package faketime, and others', put the library for programs with threads."""


@dataclass(frozen=True, slots=True)
class Clock:
    """The time of day in one process, as it differs from ours."""

    library: Path
    file: Path

    def shift(self, seconds: float) -> None:
        """From now on the process reads a time that is *seconds* ahead of ours."""
        fresh = self.file.with_suffix(".new")
        fresh.write_text(f"{seconds:+.3f}\n")
        fresh.replace(self.file)

    @property
    def environment(self) -> Mapping[str, str]:
        """What a process is started with to read this clock."""
        return {
            "LD_PRELOAD": str(self.library),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",  # The same, as older versions call it.
        }


def clock(folder: Path) -> Clock:
    """A clock that is right until it is shifted. Where there is none the test says why, and fails if CI needs it."""
    found = [library for place in PLACES for library in sorted(Path("/").glob(place.removeprefix("/")))]
    if not found:
        why = f"no {NAME}: apt-get install faketime"
        if NAME in os.environ.get("C2A_TEST_NEEDS", "").split():
            pytest.fail(why)
        pytest.skip(why)
    made = Clock(found[0], folder / "faketime")
    made.shift(0)
    return made
