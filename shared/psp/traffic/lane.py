"""What the calls to one PSP account are ordered by: who calls, how often anybody may, and what a caller is told.

A lane is the way of one tenant's account to its PSP. All processes of an installation call through it together, so a
limit the PSP set for the account holds for all of them (gate.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import Final

from shared.psp.port import Account, Capabilities

HEADROOM: Final = 0.9
"""The share of a PSP's limit that is used: calls leave evenly and arrive a little unevenly, and with a tenth to spare
no second holds too many as long as none of them arrives more than a ninth of a second later than the others."""
LATE_S: Final = 0.08
"""A call that leaves later than this after its slot might meet those of later slots: it asks for another one. The rest
of that ninth is for what its way to the PSP varies by."""
APART_S: Final = 0.02
"""How far apart those who stand in a row are at least, also where the PSP set no limit: 50 a second are worked off
beside all others, and a PSP that is back is met by no more."""


class Errand(StrEnum):
    """What a caller calls for, and so who goes first."""

    NEW = "new"  # A new payment; it goes behind all who wait.
    PLACED = "placed"  # A payment whose place in the row has come up.
    AT_ONCE = "at_once"  # Money in doubt or on its way back, or somebody who waits at our door: before all others.


NEAR_S: Final = {Errand.NEW: 0.5, Errand.PLACED: 2.0, Errand.AT_ONCE: 2.5}
"""How long a call may wait for its slot in its thread; whose slot is further off stands in the row. Those whose place
came up are rung for every second and have to fit in; money in doubt finds room behind them that no payment gets."""
LONGEST_WAIT_S: Final = 8.0
"""The longest a held-up call may take to get another slot: two waits of 2 s, beside a Redis that hangs."""


@dataclass(frozen=True, slots=True)
class PspLane:
    """The way of one account to its PSP; *calls_per_s* None: its PSP set no limit."""

    tenant_id: str
    provider: str
    calls_per_s: float | None = None

    @classmethod
    def of(cls, account: Account, can: Capabilities) -> PspLane:
        """The lane of *account*: as agreed for it, else as its adapter knows its PSP."""
        return cls(account.tenant_id, account.provider, account.terms.calls_per_s or can.calls_per_s)

    def taking(self, calls: int) -> PspLane:
        """The same lane for somebody who makes so many calls in one turn, and so takes as many slots."""
        return self if self.calls_per_s is None else replace(self, calls_per_s=self.calls_per_s / calls)

    @property
    def name(self) -> str:
        """Its name in Redis."""
        return f"psp:{self.tenant_id}:{self.provider}"

    @property
    def interval_s(self) -> float:
        """How far apart its calls are; 0: as they come."""
        return 1 / (HEADROOM * self.calls_per_s) if self.calls_per_s else 0.0

    @property
    def late_s(self) -> float:
        """How long after its slot a call may still leave: of a limit that is less than one a second, as much more."""
        return LATE_S * max(1.0, 1 / self.calls_per_s) if self.calls_per_s else math.inf

    @property
    def apart_s(self) -> float:
        """How far apart those are who wait in rows."""
        return max(self.interval_s, APART_S)


@dataclass(frozen=True, slots=True)
class Later:
    """Not now. *due_in* is a place in the row: whoever comes back then keeps it."""

    why: str
    due_in: timedelta
