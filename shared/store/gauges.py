"""What stands where at this moment, counted by the database: for gauges, never for a decision.

Each statement reads at most MOST rows of a partial index that holds live rows only, so a table of any size costs the
same; where more wait than that, the count says MOST, and whoever is alarmed by it needs no better figure.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import ARRAY, Connection, DateTime, Text, bindparam, text

from shared.domain.states import TERMINAL, OrderState

MOST: Final = 50_000
"""Live orders of one state that are counted: some 50 ms of one core."""
ACCOUNTS: Final = 1_000
"""PSP accounts whose breakers are looked at."""
LATE_S: Final = 5.0
"""A move becomes visible with its commit, and no statement of ours takes longer (statement_timeout): moves are counted
once they are this old, so that none is counted twice or missed."""
FURTHEST_S: Final = 120.0
"""How far back moves are counted after a pause; Prometheus forgives a counter that rests."""

# An order that waits for its PSP's verdict for days (pending), or stands in a row by its place, is not a slow one.
_ORDERS: Final = text("""
    SELECT kind, count(*) AS orders, count(*) FILTER (WHERE parked) AS parked,
           extract(epoch FROM now() - min(changed_at)) AS oldest_s
    FROM unnest(:states) AS wanted(state)
    CROSS JOIN LATERAL (
        SELECT changed_at, parked, CASE
            WHEN state = 'confirming' AND deadline_at IS NOT NULL THEN 'pending'
            WHEN state = 'offer_locked' AND waits_for IS NOT NULL THEN 'in_row'
            ELSE state END AS kind
        FROM orders WHERE orders.state = wanted.state AND due_at IS NOT NULL
        ORDER BY due_at LIMIT :most) AS live
    GROUP BY kind
""").bindparams(bindparam("states", type_=ARRAY(Text)))

# What a PSP took in hand it tells of within days (shared/doctor/checks.py): it is not late because it is old.
_MONEY: Final = text("""
    SELECT CASE WHEN taken THEN 'taken' ELSE outcome END AS outcome, currency, count(*) AS attempts,
           sum(amount_minor) AS minor, extract(epoch FROM now() - min(since)) AS oldest_s
    FROM (
        (SELECT outcome, currency, amount_minor, outcome = 'returning' AND taken_at IS NOT NULL AS taken,
                CASE outcome WHEN 'returning' THEN coalesce(settled_at, started_at) ELSE started_at END AS since
         FROM payment_attempts WHERE outcome IN ('open', 'challenged', 'pending', 'returning') LIMIT :most)
        UNION ALL
        (SELECT 'refunding', currency, amount_minor, taken_at IS NOT NULL, asked_at
         FROM refunds WHERE state = 'asked' LIMIT :most)) AS held
    GROUP BY 1, 2
""")

_NEWS: Final = text("""
    SELECT count(*) AS events, coalesce(extract(epoch FROM now() - min(received_at)), 0) AS oldest_s
    FROM (SELECT received_at FROM psp_events WHERE settled_at IS NULL LIMIT :most) AS parked
""")

_MOVES: Final = text("""
    WITH span AS (SELECT now() - make_interval(secs => :late) AS upto)
    SELECT upto, event, state, moves FROM span LEFT JOIN LATERAL (
        SELECT event, state, count(*) AS moves FROM order_events
        WHERE at > greatest(:since, upto - make_interval(secs => :furthest)) AND at <= upto
        GROUP BY event, state) AS moved ON true
""").bindparams(bindparam("since", type_=DateTime(timezone=True)))

_ACCOUNTS: Final = text("SELECT tenant_id, provider, adapter FROM psp_accounts WHERE enabled LIMIT :most")

KINDS: Final = ("pending", "in_row", *(state.value for state in OrderState if state not in TERMINAL))
"""How live orders are told apart here."""


HOLDS: Final = ("open", "challenged", "pending", "returning", "refunding", "taken")
"""How money that is not at rest is told apart: taken is what a PSP took in hand to give back."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Live orders of one kind, and the seconds since the longest unmoved of them moved."""

    kind: str
    orders: int
    parked: int
    oldest_s: float


@dataclass(frozen=True, slots=True)
class Held:
    """Attempts and refunds of one outcome (HOLDS) and currency, in minor units; how long the oldest stands so."""

    outcome: str
    currency: str
    attempts: int
    minor: int
    oldest_s: float


@dataclass(frozen=True, slots=True)
class Moves:
    """The moves of orders up to a moment of the database's clock, by event and the state after it."""

    upto: datetime
    counted: dict[tuple[str, str], int]


def waiting(conn: Connection) -> list[Waiting]:
    """The live orders, kind by kind; kinds without any are left out."""
    live = [state.value for state in OrderState if state not in TERMINAL]
    rows = conn.execute(_ORDERS, {"states": live, "most": MOST})
    return [Waiting(row.kind, row.orders, row.parked, float(row.oldest_s)) for row in rows]


def open_money(conn: Connection) -> list[Held]:
    """What open_money.py lists attempt by attempt, in sums."""
    rows = conn.execute(_MONEY, {"most": MOST})
    return [Held(row.outcome, row.currency, row.attempts, int(row.minor), float(row.oldest_s)) for row in rows]


def parked_news(conn: Connection) -> tuple[int, float]:
    """PSP events that wait for an attempt they belong to, and the age of the oldest in seconds."""
    row = conn.execute(_NEWS, {"most": MOST}).one()
    return row.events, float(row.oldest_s)


def moves(conn: Connection, since: datetime | None) -> Moves:
    """What happened to orders after *since*; None: only up to when it is known."""
    if since is None:
        upto = conn.execute(text("SELECT now() - make_interval(secs => :late)"), {"late": LATE_S}).scalar_one()
        return Moves(upto, {})
    rows = conn.execute(_MOVES, {"since": since, "late": LATE_S, "furthest": FURTHEST_S}).all()
    return Moves(rows[0].upto, {(row.event, row.state): row.moves for row in rows if row.event is not None})


def enabled_accounts(conn: Connection) -> list[tuple[str, str, str]]:
    """Accounts that take payments, as (tenant, provider, adapter)."""
    return [(str(row.tenant_id), row.provider, row.adapter) for row in conn.execute(_ACCOUNTS, {"most": ACCOUNTS})]
