"""Who used the processors while something was measured: the parts themselves, and whoever else was at work.

Requests a second fall when a stranger takes a core; the time a request takes of each process does not. So both are
told, and how much of the machine went to processes that are none of ours.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import psutil

from deploy.measure.processes import family

IDLE: Final = ("idle", "iowait", "guest", "guest_nice")
"""Not work; guests are counted in user already."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Seconds of processor time by name, of the whole machine, and how long the clock on the wall ran."""

    by_name: Mapping[str, float]
    machine_s: float
    wall_s: float

    def per(self, count: int) -> dict[str, float]:
        """Milliseconds of each for one of *count* requests or orders."""
        return {name: 1_000 * seconds / max(1, count) for name, seconds in self.by_name.items()}

    @property
    def strangers(self) -> float:
        """Cores that were taken by processes that are none of ours."""
        return max(0.0, self.machine_s - sum(self.by_name.values())) / self.wall_s if self.wall_s else 0.0


class Meter:
    """Reads the processor time of some families of processes."""

    def __init__(self, families: Mapping[str, psutil.Process]) -> None:
        self._families = dict(families)
        self._began = self._read()

    def used(self, **more_s: float) -> Usage:
        """What was used since the meter was made; *more_s* were measured otherwise. This very process is `bench`."""
        now = self._read()
        by_name = {name: now.by_name[name] - before for name, before in self._began.by_name.items()}
        return Usage(by_name | more_s, now.machine_s - self._began.machine_s, now.wall_s - self._began.wall_s)

    def _read(self) -> Usage:
        by_name = {name: processor_s(family(root)) for name, root in self._families.items()}
        return Usage(by_name | {"bench": processor_s([psutil.Process()])}, _machine_s(), time.monotonic())


def processor_s(processes: Iterable[psutil.Process]) -> float:
    """Seconds of processor time of *processes*, and of children of theirs that ended."""
    total = 0.0
    for process in processes:
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
        # Load that was started and waited for is told by name; a server's children are a part of it.
        if process.pid != psutil.Process().pid:
            total += times.children_user + times.children_system
    return total


def _machine_s() -> float:
    times = psutil.cpu_times()._asdict()
    return float(sum(seconds for name, seconds in times.items() if name not in IDLE))
