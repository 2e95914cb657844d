"""How many calls to each account a process has in hand: waiting for their slot, or out.

A process works with a few hundred threads for all its tenants. One account that is slow, or whose PSP hangs until its
calls time out, must not hold them all: what is above its share gives its place in the row.
"""

from __future__ import annotations

import threading
from collections import Counter


class Hands:
    """The calls in hand of one process. Safe to use from any thread."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: Counter[str] = Counter()
        self._lock = threading.Lock()

    def take(self, name: str) -> bool:
        """Take one more call of the account *name* in hand; False if it has its share."""
        with self._lock:
            if self._held[name] >= self._most:
                return False
            self._held[name] += 1
            return True

    def let_go(self, name: str) -> None:
        """One of them is over."""
        with self._lock:
            self._held[name] -= 1
            if not self._held[name]:
                del self._held[name]
