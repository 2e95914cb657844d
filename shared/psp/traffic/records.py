"""How the accounts of a tenant did in the last quarter of an hour, for the router; and how one stands now, for people.

What was read is believed for a moment by its process: the router's question costs the hot path nothing, and an account
is neither good nor bad within seconds. Redis away: nobody knows anything new, and the router chooses by the rest.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from redis import Redis
from redis.exceptions import RedisError

from shared.psp.port import Account
from shared.psp.record import Record
from shared.psp.traffic.gate import gate_of, ring_of
from shared.psp.traffic.lane import PspLane
from shared.psp.traffic.scripts import COUNTED, HALVED_US, SLOTS, End
from shared.psp.traffic.terms import Terms

log = structlog.get_logger(__name__)

BELIEVED_S: Final = 3.0
"""How long a record is believed: one more question every three seconds and process."""
REMEMBERED: Final = 10_000
"""Accounts a process remembers; with more it asks anew."""
_GATE: Final = ("next", "line", "pause", "slow", "slow_at", "open", "probe")


@dataclass(frozen=True, slots=True)
class Standing:
    """How an account's lane stands at this moment, for whoever runs the installation."""

    record: Record
    opens_in_s: float
    """How long until its open breaker lets somebody try, 0 where nothing is in the way."""
    calls_per_s: float | None
    """How many calls a second may leave now; None: as they come."""
    paused_s: float
    """How long nothing leaves, because the PSP said so."""
    row_s: float
    """How long somebody new would have to wait."""


class Records:
    """What one process knows of how accounts do. Safe to use from any thread."""

    def __init__(self, redis: Redis, terms: Terms) -> None:
        self._redis, self._terms = redis, terms
        self._known: dict[str, tuple[float, Record]] = {}
        self._lock = threading.Lock()

    def of(self, accounts: Sequence[Account]) -> dict[str, Record]:
        """The record of each of a tenant's *accounts* by its provider; where nobody knows, that of a new account."""
        names = {account.provider: PspLane(account.tenant_id, account.provider).name for account in accounts}
        now = time.monotonic()
        with self._lock:
            known = {name: self._known[name] for name in names.values() if name in self._known}
        stale = [name for name in names.values() if name not in known or known[name][0] < now]
        if stale:
            known |= {name: (now + BELIEVED_S, record) for name, record in self._read(stale).items()}
            self._remember(known)
        return {provider: known[name][1] if name in known else Record() for provider, name in names.items()}

    def standing(self, lane: PspLane) -> Standing:
        """How *lane* stands now; raises RedisError."""
        [(now, ring, gate)] = self._ask([lane.name])
        left = {name: max(0.0, gate[name] - now) for name in ("next", "line", "pause", "open", "probe")}
        halvings = max(0, int(gate["slow"]) - int((now - gate["slow_at"]) * 1e6 // HALVED_US))
        rate = 1 / lane.interval_s / 2**halvings if lane.interval_s else None
        waits_s = max(left["next"], left["line"], left["pause"])
        return Standing(_record(now, ring, gate, self._terms), left["open"], rate, left["pause"], waits_s)

    def are_away(self, lanes: Sequence[PspLane]) -> list[bool]:
        """Whether the breaker of each lane is open now; raises RedisError."""
        return [_record(*told, self._terms).is_away for told in self._ask([lane.name for lane in lanes])]

    def _read(self, names: Sequence[str]) -> dict[str, Record]:
        try:
            read = self._ask(names)
        except RedisError as error:
            log.warning("psp.record_not_read", error=type(error).__name__)
            return {}
        return {name: _record(*told, self._terms) for name, told in zip(names, read, strict=True)}

    def _ask(self, names: Sequence[str]) -> list[tuple[float, list[bytes], dict[str, float]]]:
        with self._redis.pipeline(transaction=False) as trip:
            trip.time()
            for name in names:
                trip.hvals(ring_of(name))
                trip.hmget(gate_of(name), _GATE)
            (seconds, micros), *told = trip.execute()
        now = seconds + micros / 1e6
        return [(now, ring, _moments(gate)) for ring, gate in zip(told[::2], told[1::2], strict=True)]

    def _remember(self, records: dict[str, tuple[float, Record]]) -> None:
        with self._lock:
            if len(self._known) + len(records) > REMEMBERED:
                self._known.clear()
            self._known.update(records)


def _moments(gate: Iterable[bytes | None]) -> dict[str, float]:
    """The gate's numbers in seconds; a count of halvings is one."""
    values = dict(zip(_GATE, gate, strict=True))
    return {name: float(text or 0) / (1 if name == "slow" else 1e6) for name, text in values.items()}


def _record(now: float, ring: Iterable[bytes], gate: dict[str, float], terms: Terms) -> Record:
    oldest = int(now / terms.slot_s) - SLOTS + 1
    slots = [[int(count) for count in slot.split()] for slot in ring]
    slots = [slot for slot in slots if slot[0] >= oldest]
    calls = sum(slot[end] for slot in slots for end in COUNTED)
    spent_ms = sum(slot[-1] for slot in slots)
    good = sum(slot[End.GOOD] for slot in slots)
    # Whoever may try is not away for those who choose: somebody new has to be the one who finds it back.
    is_away = gate["open"] > now or gate["probe"] > now
    return Record(calls, good, spent_ms / calls if calls else 0.0, is_away and gate["open"] > 0)
