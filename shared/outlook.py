"""When an order's turn will come: how many stand before it, and how fast those before it go.

An order that waits has no place written in its row: it would have to be written anew with every order that ends. But a
tracking number begins with the time it was minted (shared/ids.py), and queues are first come, first served; so where
an order stands is how many live orders have an older number. Upkeep counts them by time about once a second for
everybody (workers/foresight.py), and a poll reads its order's place off that count without asking PostgreSQL more than
it asks anyway.

How long that takes is the count over the pace at which orders of the same line went of late. A crowd's orders stand in
a line of their own (shared/crowds.py), with a pace of its own while the two are served in turn. A PSP that takes so
many calls a second has a row besides, where orders stand with the place they were given. Who waits in the line has that
row still to come, and who stands in it may wait for longer than its place says, because slots were missed before it; so
those of its tenant are counted, too, and how fast they go.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from typing import Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict

KEY: Final = "c2a:outlook"
"""Where upkeep tells it, in the volatile Redis."""
LIFE_S: Final = 10
"""How long it is told for: upkeep that is silent for longer is down, and nobody guesses by what it said."""
FORESEEN_MS: Final = 3_000
"""How far past the last count newcomers are reckoned to have gone on coming: as old as a count is when it is read."""
SEEN_MS: Final = 1_500
"""How far back it is looked how fast newcomers came."""
FEWEST: Final = 20
"""A row of fewer tells no pace, and is over soon."""


class Line(BaseModel):
    """Who waits in one line. *points*: (milliseconds since 1970, how many live orders have older numbers), ascending
    in both; *per_s*: how many of them go a second, None where nobody could measure it yet, or none goes."""

    model_config = ConfigDict(frozen=True)

    per_s: float | None = None
    points: tuple[tuple[int, int], ...] = ()

    @property
    def length(self) -> int:
        """How many wait."""
        return self.points[-1][1] if self.points else 0

    def before(self, minted_ms: int) -> float:
        """How many stood before an order minted at *minted_ms* when they were counted."""
        after = bisect_right(self.points, minted_ms, key=lambda point: point[0])
        if after == 0:
            return 0.0
        start_ms, count = self.points[after - 1]
        if after == len(self.points):
            return count + self._newcomers_per_ms() * min(minted_ms - start_ms, FORESEEN_MS)
        end_ms, more = self.points[after]
        return count + (more - count) * (minted_ms - start_ms) / (end_ms - start_ms)

    def wait_s(self, minted_ms: int, age_s: float) -> float | None:
        """Seconds until an order minted at *minted_ms* is through, *age_s* after they were counted; None: unknown."""
        if not self.per_s:
            return None
        gone = self.per_s * age_s
        return (max(0.0, self.before(minted_ms) - gone) + 1) / self.per_s

    def _newcomers_per_ms(self) -> float:
        last_ms, count = self.points[-1]
        return (count - self.before(last_ms - SEEN_MS)) / SEEN_MS


class Outlook(BaseModel):
    """What upkeep counted. Tenants by their ids; who is not in *rows* has none, who is not in *usual_s* is not slow."""

    model_config = ConfigDict(frozen=True)

    turn: Line = Line()
    crowd: Line = Line()
    crowds: frozenset[UUID] = frozenset()
    rows: Mapping[UUID, Line] = {}
    """Where a row is long: all who wait of that tenant, in the line, in the row, or called."""
    usual_s: Mapping[UUID, float] = {}
    """How long a payment takes, the middle one of the last minute's."""

    def line_of(self, tenant_id: UUID) -> Line:
        """The line its orders wait in."""
        return self.crowd if tenant_id in self.crowds else self.turn

    def wait_s(self, tenant_id: UUID, minted_ms: int, age_s: float, *, is_paid: bool = False) -> float | None:
        """Seconds until an order of the tenant that was minted at *minted_ms* and waits has ended, *age_s* after it was
        counted; None: nobody knows. *is_paid*: it has no PSP's row before it."""
        in_line = self.line_of(tenant_id).wait_s(minted_ms, age_s)
        in_row = None if is_paid else self.row_s(tenant_id, minted_ms, age_s)
        return max((wait for wait in (in_line, in_row) if wait is not None), default=None)

    def row_s(self, tenant_id: UUID, minted_ms: int, age_s: float) -> float | None:
        """The same by those alone who wait for the PSPs of the tenant; None: they have no row worth a word."""
        row = self.rows.get(tenant_id)
        return None if row is None else row.wait_s(minted_ms, age_s)
