"""Who may have one more of the places for those who wait: a tenant may have three for each that it leaves free.

Places are few (waiting.py: MOST) and a stream holds one for a quarter of an hour, so one publishable key could hold
them all for good, and everybody else would be answered at once. A fixed share a tenant is no way out: a process that
serves one tenant alone would not use most of itself, and of a hundred tenants any share worth having comes to more
than there is. So the share follows what is free, as buffers are shared by the queues of a switch (dynamic thresholds:
Choudhury and Hahne, 1998). One tenant alone comes to three quarters of all, a second one to three quarters of the
rest. Who is above that line gets no place back that they leave, so n tenants that want all they can get come to the
same, 3 of 3n + 1 each. It is a sum and a comparison, and nobody who waits is sent away for it.
"""

from __future__ import annotations

from collections import Counter
from typing import Final
from uuid import UUID

FOR_EACH_FREE: Final = 3
"""Of MOST places two would give a tenant just the ten thousand we promise and none to spare; with more than three
fewer greedy tenants, of which it now takes seven, would leave nobody a place."""


class Places:
    """So many places, and who has them; whoever asks holds the lock."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken: Counter[UUID] = Counter()
        self._in_all = 0

    def take(self, tenant_id: UUID) -> None:
        """One more is taken, whether there was room or not."""
        self._taken[tenant_id] += 1
        self._in_all += 1

    def give_back(self, tenant_id: UUID) -> None:
        """One of the tenant's is free."""
        self._in_all -= 1
        self._taken[tenant_id] -= 1
        if not self._taken[tenant_id]:
            del self._taken[tenant_id]

    def suffice_for(self, tenant_id: UUID) -> bool:
        """Whether the tenant may keep the last that it took."""
        return self._taken[tenant_id] <= FOR_EACH_FREE * (self._most - self._in_all)
