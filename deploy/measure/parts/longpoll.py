"""Waiting pollers: ten thousand held answers on one process, their cost to others, how soon a change reaches them.

Admissions are timed with and without them in turn, on the one process: alone, with them, with them, alone. So what
grows or tires in it or on the machine falls on both, and they have to come only once for two windows.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import httpx
import psutil
from sqlalchemy import Engine

from deploy.measure import captured, database
from deploy.measure.crowd import Crowd
from deploy.measure.database import Connection
from deploy.measure.parts.cost import of_one_process
from deploy.measure.parts.latency import percentile
from deploy.measure.parts.outcome import Outcome
from deploy.measure.plan import Plan
from deploy.measure.stand import SUBMIT, Stand
from deploy.measure.traffic import Invalid
from deploy.measure.usage import Meter, Usage
from deploy.measure.waiters import Waiters
from deploy.stack import product
from deploy.stack.waiting import until

ADMITTED_A_SECOND: Final = 50.0
"""The orders whose answers are timed: far from what one process can take, so that what is seen is the waiting; and so
many that the worst hundredth of a window is several."""
ENDED_A_SECOND: Final = 50.0
HEARD_WITHIN_S: Final = 30.0
QUICK_S: Final = 0.02
QUICK_TIMES: Final = 5
"""So often in a row, a tenth of a second apart: while ten thousand come or go it is quick now and then."""
MANY: Final = 10_000
MIB: Final = 1 << 20
_TRANSACTIONS: Final = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"


@dataclass(slots=True)
class _Seen:
    """What was measured; milliseconds, window by window."""

    alone: list[list[float]] = field(default_factory=list)
    among: list[list[float]] = field(default_factory=list)
    transactions_alone: int = 0
    """Of PostgreSQL, in the windows without pollers."""
    changes: list[float] = field(default_factory=list)
    reads: float = 0.0
    """Transactions while the last crowd waited, but for those of admissions and of the moves themselves."""
    waited_s: float = 0.0
    """How long that was."""
    opened_s: float = 0.0
    """How long they took to come."""
    usage: Usage | None = None
    """Of the first windows with them."""
    unchanged: int = 0
    mib: tuple[float, float] = (0.0, 0.0)
    """What the process holds before the first of them and with all of them."""


@dataclass(frozen=True, slots=True)
class _Room:
    """One process of the API, and everything that is asked of it."""

    stand: Stand
    plan: Plan
    conn: Connection
    mover: Engine
    server: psutil.Process
    numbers: Sequence[str]
    seen: _Seen = field(default_factory=_Seen)

    def turn(self, *, is_last: bool) -> None:
        """Alone, with pollers, with pollers, alone; the last time they also hear of changes."""
        self._alone()
        before_mib = self.server.memory_info().rss / MIB
        with closing(Waiters(self.stand.wiring.api_port, self.stand.headers, f"{SUBMIT}/{{}}/status")) as waiters:
            began, before, already = time.monotonic(), self._transactions(), len(self.seen.among)
            waiters.open(self.numbers)
            self.quiet()
            self.seen.opened_s = time.monotonic() - began
            self._among(waiters)
            if already == 0:
                self.seen.mib = before_mib, self.server.memory_info().rss / MIB
            self._among(waiters)
            if is_last:
                self._end_some(waiters)
                self.seen.waited_s = time.monotonic() - began
                self.seen.reads = self._transactions() - before - self._of_admissions(already) - len(self.seen.changes)
            if waiters.broken:
                raise Invalid(f"{len(waiters.broken)} pollers heard {sorted(set(waiters.broken))[:5]}")
        self.quiet()
        self._alone()

    def admit(self) -> list[float]:
        """How long the answers to steadily arriving orders took, in milliseconds."""
        crowd = Crowd(self.stand.submit_url, self.stand.headers, self.stand.offer)
        crowd.arrive(ADMITTED_A_SECOND, 1.5 * self.plan.seconds)
        return list(crowd.took_ms)

    def quiet(self) -> None:
        """Wait until the server has taken all pollers in hand, or let all go: meanwhile it is late for others."""
        url = self.stand.wiring.base_url
        with httpx.Client(base_url=url, trust_env=False, timeout=HEARD_WITHIN_S) as http:
            quick: list[bool] = []

            def is_quick() -> bool:
                quick.append(http.get("/healthz").elapsed.total_seconds() < QUICK_S)
                return len(quick) >= QUICK_TIMES and all(quick[-QUICK_TIMES:])

            until(is_quick, "server is quick", within_s=HEARD_WITHIN_S)

    def _alone(self) -> None:
        before = self._transactions()
        self.seen.alone.append(self.admit())
        self.seen.transactions_alone += self._transactions() - before
        self.stand.show.say(f"  admission {len(self.seen.alone)}, alone: {_told(self.seen.alone[-1])}")

    def _among(self, waiters: Waiters) -> None:
        meter, unchanged = Meter({"server": self.server, **self.stand.servers}), waiters.unchanged
        self.seen.among.append(self.admit())
        if self.seen.usage is None:
            self.seen.usage, self.seen.unchanged = meter.used(), waiters.unchanged - unchanged
        told = _told(self.seen.among[-1])
        self.stand.show.say(f"  admission {len(self.seen.among)}, with {len(self.numbers)} who wait: {told}")

    def _end_some(self, waiters: Waiters) -> None:
        numbers = self.numbers[: self.plan.ended_pollers]
        ended_at = captured.end(self.mover, numbers, a_second=ENDED_A_SECOND)
        until(lambda: waiters.done_at.keys() >= ended_at.keys(), "pollers have not heard", within_s=HEARD_WITHIN_S)
        self.seen.changes = [(waiters.done_at[number] - at) * 1_000 for number, at in ended_at.items()]
        self.stand.show.say(f"  change to answer: {_told(self.seen.changes)}")

    def _transactions(self) -> int:
        return int(database.value(self.conn, _TRANSACTIONS))

    def _of_admissions(self, already: int) -> float:
        """Transactions of the admissions after the first *already* windows among pollers, at the price of those that
        came alone."""
        alone = sum(map(len, self.seen.alone))
        return self.seen.transactions_alone / alone * sum(map(len, self.seen.among[already:]))


def measure(stand: Stand, plan: Plan) -> Outcome:
    """The figures of waiting pollers. Raises Invalid, ProcessDied or StopAsked."""
    api = of_one_process(product.api(stand.home, stand.wiring))
    with stand.running(api) as up, database.connected(stand.admin_url) as conn, captured.mover(stand) as mover:
        database.empty_orders(conn)
        [server] = up["api"].children()
        room = _Room(stand, plan, conn, mover, server, captured.lay_out(mover, stand, plan.pollers))
        database.settled(conn)
        room.admit()  # Warm.
        turns = max(1, plan.rounds // 2)
        for number in range(turns):
            room.turn(is_last=number == turns - 1)
    return _figures(room)


def _figures(room: _Room) -> Outcome:
    seen, pollers, outcome = room.seen, len(room.numbers), Outcome()
    why = "" if pollers >= MANY else "a quick run"
    outcome.add("waiting pollers on one process", "", [pollers], details=_held(room), not_judged=why)
    for part in (99, 50):
        among, alone = ([percentile(window, part) for window in windows] for windows in (seen.among, seen.alone))
        name = f"admission p{part}, with waiting pollers / without"
        note = f"{ADMITTED_A_SECOND:g} orders a second, {pollers:,} pollers" if part == 99 else ""
        outcome.add(name, "ms", among, alone, note=note, not_judged=why)
    for part in (50, 99):
        note = f"{len(seen.changes)} changes, {ENDED_A_SECOND:g} a second"
        outcome.add(f"change to answer, p{part}", "ms", [percentile(seen.changes, part)], note=note)
    note = f"transactions of {seen.waited_s:.0f} s of waiting, its beginning with them, but for admissions and moves"
    outcome.add("database reads of a waited-for order", "", [max(0.0, seen.reads) / pollers], note=note)
    before, after = seen.mib
    outcome.add("memory of a waiting poller", "KiB", [(after - before) * 1_024 / pollers])
    return outcome


def _held(room: _Room) -> dict[str, Any]:
    usage = room.seen.usage
    assert usage is not None, "there was a window with pollers"
    per_second = partial(lambda value: value / usage.wall_s)
    return {
        "pollers": len(room.numbers),
        "cameInSeconds": room.seen.opened_s,
        "askedAgainASecond": per_second(room.seen.unchanged),
        "cores": {name: per_second(seconds) for name, seconds in usage.by_name.items()},
        "coresOfStrangers": usage.strangers,
        "memoryMiB": {"before": room.seen.mib[0], "after": room.seen.mib[1]},
    }


def _told(took_ms: Sequence[float]) -> str:
    return f"p50 {percentile(took_ms, 50):.1f}, p99 {percentile(took_ms, 99):.1f}, at most {max(took_ms):.1f} ms"
