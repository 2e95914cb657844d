"""A window of load on one server: how many answers, and whose processor time each of them took."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import psutil

from deploy.measure import spread, traffic
from deploy.measure.stand import Stand
from deploy.measure.traffic import Invalid, Kind, Load
from deploy.measure.usage import Meter, Usage

WARM_UPS: Final = 10
"""Windows a server has to come to answer without an error; on an idle machine it takes one."""


@dataclass(frozen=True, slots=True)
class Window:
    """What was seen in one window."""

    load: Load
    usage: Usage

    def __str__(self) -> str:
        return f"{self.load.per_second:,.0f} a second, p99 {self.load.p99_ms:.1f} ms"


def window(
    stand: Stand, kind: Kind, server: psutil.Process, *, seconds: float, connections: int = traffic.CONNECTIONS
) -> Window:
    """Load *server* with requests of *kind*. Raises Invalid or StopAsked."""
    meter = Meter({"server": server, **stand.servers})
    load = traffic.load(kind, stand.home.run, seconds=seconds, connections=connections)
    return Window(load, meter.used(wrk=load.wrk_s))


def warm_up(stand: Stand, kinds: Iterable[Kind], *, seconds: float, connections: int = traffic.CONNECTIONS) -> None:
    """Let each server connect, learn its keys and prepare its statements; answers that are late now do not count.

    Raises Invalid for one that does not come to answer, or StopAsked.
    """
    for kind in kinds:
        for left in reversed(range(WARM_UPS)):
            try:
                traffic.load(kind, stand.home.run, seconds=seconds, connections=connections)
            except Invalid:
                if not left:
                    raise
            else:
                break


def details(windows: Mapping[str, Sequence[Window]]) -> dict[str, Any]:
    """Beside the figure itself: latencies, processor time a request by process, and what strangers took."""
    return {name: _details(several) for name, several in windows.items()}


def _details(several: Sequence[Window]) -> dict[str, Any]:
    per = [one.usage.per(one.load.requests) for one in several]
    return {
        "p50Ms": spread.of([one.load.p50_ms for one in several]).middle,
        "p99Ms": spread.of([one.load.p99_ms for one in several]).middle,
        "cpuMsPerRequest": {name: spread.of([one[name] for one in per]).middle for name in per[0]},
        "coresOfStrangers": spread.of([one.usage.strangers for one in several]).document(),
    }


def rates(several: Sequence[Window]) -> list[float]:
    """Answers a second, window by window."""
    return [one.load.per_second for one in several]


def processor_ms(several: Sequence[Window]) -> list[float]:
    """Processor time a request of server and PostgreSQL, window by window: what a busy machine does not change."""
    per = [one.usage.per(one.load.requests) for one in several]
    return [one["server"] + one["postgres"] for one in per]
