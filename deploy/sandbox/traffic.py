"""Counts the calls of each account, and refuses those above its limit: a sliding second, as strict as a PSP can be.

A refused call counts like any other: who goes on calling stays refused.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

WINDOW_S: Final = 1.0
ACCOUNTS: Final = 10_000
"""Accounts that are counted before all counts begin anew."""


@dataclass(slots=True)
class _Calls:
    total: int = 0
    refused: int = 0
    busiest: int = 0
    recent: deque[float] = field(default_factory=deque)


class Traffic:
    """The calls of every account since the process began."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._of: dict[str, _Calls] = {}

    def is_too_much(self, account_id: str, limit: int | None) -> bool:
        """Count one more call of *account_id*; whether it is above *limit* calls in the last second."""
        if account_id not in self._of and len(self._of) >= ACCOUNTS:
            self._of.clear()
        calls, now = self._of.setdefault(account_id, _Calls()), self._clock()
        calls.recent.append(now)
        while calls.recent[0] <= now - WINDOW_S:
            calls.recent.popleft()
        refused = limit is not None and len(calls.recent) > limit
        calls.total += 1
        calls.refused += refused
        calls.busiest = max(calls.busiest, len(calls.recent))
        return refused

    def shown(self, account_id: str) -> dict[str, Any]:
        """What was counted of one account."""
        calls = self._of.get(account_id, _Calls())
        return {
            "accountId": account_id,
            "calls": calls.total,
            "refused": calls.refused,
            "busiestSecond": calls.busiest,
        }
