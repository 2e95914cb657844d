"""Which of a program's processes this one is: a small number that no other living process of it has.

Counters of several processes meet in files, one a process. Named by process id there would be one more for every child
that ever lived (a payment worker replaces its children all the time), and a scrape would read them all. So a process
takes the lowest free number and goes on counting in the file that the last holder left: as many files as processes
ever lived at once, and no counter falls because somebody died. The kernel gives the number back, however a process
ends: it is a record lock (fcntl(2)), which a fork does not inherit.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO, Final

FILES: Final = {"histogram": 1 << 19, "counter": 1 << 16}
"""The files a process counts in, by their names' beginning, and the bytes they are given when its number is taken: room
for some 190 routes by their statuses, of which there are about 60. A page of a mapped file that has no place on a full
disk ends the process that writes to it (SIGBUS, mmap(2)), and no order may be lost for a count: so the place is there
before anything is written."""
MOST: Final = 4_096
"""Processes of one program on one machine; there are a few dozen."""


class NoSlot(RuntimeError):
    """More processes than anybody meant to start count in one folder."""


class Slots:
    """The numbers of the processes that count in *folder*."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._held: IO[bytes] | None = None
        self._mine = -1
        os.register_at_fork(after_in_child=self._forget)

    def mine(self) -> int:
        """This process's number, taken when it first asks. Raises NoSlot, or OSError where the disk is full or the
        folder gone."""
        if self._held is None:
            number, held = self._take()
            try:
                self._give_room(number)
            except OSError:
                held.close()
                raise
            self._mine, self._held = number, held
        return self._mine

    def sweep(self) -> None:
        """Remove what the dead of an earlier start counted; nobody else's files."""
        for counts in self.folder.glob("*.db"):
            held = _locked(self._lock_of(int(counts.stem.rpartition("_")[2])))
            if held is not None:
                with held:
                    counts.unlink(missing_ok=True)

    def _take(self) -> tuple[int, IO[bytes]]:
        for number in range(MOST):
            if (held := _locked(self._lock_of(number))) is not None:
                return number, held
        raise NoSlot(f"{MOST} processes count in {self.folder}")

    def _give_room(self, number: int) -> None:
        for name, size in FILES.items():
            with (self.folder / f"{name}_{number}.db").open("ab") as file:
                os.posix_fallocate(file.fileno(), 0, size)

    def _lock_of(self, number: int) -> Path:
        return self.folder / f"{number}.lock"

    def _forget(self) -> None:
        """A forked child takes a number of its own."""
        held, self._held = self._held, None
        if held is not None:
            held.close()  # Lets go of nothing of its parent's: record locks are a process's own.


def _locked(path: Path) -> IO[bytes] | None:
    """The file at *path*, locked for this process; None if another process has it."""
    file = path.open("ab")
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file
