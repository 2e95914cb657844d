"""What became of the orders of the last minutes, and how long they stood in each state: for whoever watches.

Both reads begin at a tracking number, whose first part is time, so that they never walk past what is older.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, Float, Text, Uuid, bindparam, text

from shared.domain.states import OrderState
from shared.ids import first_number_at

SAMPLED: Final = 300
"""Orders that times are taken from: enough for a 95th percentile that means something, and a few milliseconds."""

_SLOTS: Final = text("""
    SELECT floor(extract(epoch FROM admitted_at - cast(:since AS timestamptz)) / :slot_s)::int AS slot,
           count(*) FILTER (WHERE state = 'done') AS done,
           count(*) FILTER (WHERE state = 'failed') AS failed,
           count(*) FILTER (WHERE due_at IS NOT NULL) AS live
    FROM orders
    WHERE tracking_number >= :first AND tenant_id = :tenant AND admitted_at >= :since
    GROUP BY slot ORDER BY slot
""").bindparams(bindparam("tenant", type_=Uuid), bindparam("first", type_=Text), bindparam("slot_s", type_=Float))

_TIMES: Final = text("""
    WITH latest AS (
        SELECT tracking_number FROM orders WHERE tracking_number >= :first AND tenant_id = :tenant
        ORDER BY tracking_number DESC LIMIT :sampled
    ), moves AS (
        SELECT state, at, lag(state) OVER by_order AS stood, lag(at) OVER by_order AS since
        FROM order_events JOIN latest USING (tracking_number) WHERE tenant_id = :tenant
        WINDOW by_order AS (PARTITION BY tracking_number ORDER BY version)
    )
    SELECT stood, count(*) AS moves,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM at - since)) * 1000 AS median_ms,
           percentile_cont(0.95) WITHIN GROUP (ORDER BY extract(epoch FROM at - since)) * 1000 AS p95_ms
    FROM moves WHERE stood <> state GROUP BY stood
""").bindparams(bindparam("tenant", type_=Uuid), bindparam("first", type_=Text))


@dataclass(frozen=True, slots=True)
class Slot:
    """What became, by now, of the orders that were accepted in one slot of time."""

    slot: int
    done: int = 0
    failed: int = 0
    live: int = 0

    @property
    def accepted(self) -> int:
        """All of them."""
        return self.done + self.failed + self.live


@dataclass(frozen=True, slots=True)
class Times:
    """How long orders stood in one state before they moved on, in milliseconds."""

    moves: int
    median_ms: float
    p95_ms: float


def by_slot(conn: Connection, tenant_id: UUID, *, since: datetime, slot_s: float) -> dict[int, Slot]:
    """The orders accepted since then, by how many times *slot_s* seconds later they came."""
    asked = {"tenant": tenant_id, "since": since, "first": first_number_at(since), "slot_s": slot_s}
    return {row.slot: Slot(*row) for row in conn.execute(_SLOTS, asked)}


def times(conn: Connection, tenant_id: UUID, *, since: datetime) -> dict[OrderState, Times]:
    """How long the latest orders since then stood in each state; of a state nobody left there is nothing."""
    asked = {"tenant": tenant_id, "first": first_number_at(since), "sampled": SAMPLED}
    rows = conn.execute(_TIMES, asked)
    return {OrderState(row.stood): Times(row.moves, float(row.median_ms), float(row.p95_ms)) for row in rows}
