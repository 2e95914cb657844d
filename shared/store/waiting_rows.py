"""How much work waits, as the rows know it: they are the queue of record, and a broker's messages only doorbells."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import ARRAY, Connection, Text, bindparam, text

from shared.domain.states import TERMINAL, OrderState

# State by state by its index, so that what ended is never read.
_ORDERS: Final = text("""
    SELECT state, count(*) AS waiting, count(*) FILTER (WHERE due_at <= now()) AS due, min(changed_at) AS oldest,
           min(due_at) AS first_due, count(*) FILTER (WHERE parked) AS parked,
           count(*) FILTER (WHERE waits_for IS NOT NULL AND due_at > now()) AS in_row
    FROM orders WHERE state = ANY (:live) AND due_at IS NOT NULL GROUP BY state
""").bindparams(bindparam("live", type_=ARRAY(Text)))

_RETURNS: Final = text("""
    SELECT count(*) AS waiting, count(*) FILTER (WHERE due_at <= now()) AS due, min(settled_at) AS oldest,
           min(due_at) AS first_due
    FROM (SELECT due_at, settled_at FROM payment_attempts WHERE outcome = 'returning'
          UNION ALL SELECT due_at, asked_at FROM refunds WHERE state = 'asked') AS back
""")

_NEWS: Final = text("SELECT count(*) AS waiting, min(received_at) AS oldest FROM psp_events WHERE settled_at IS NULL")


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits of one kind. *oldest*: since when; *first_due*: when somebody looks at the first of it again."""

    waiting: int
    due: int = 0
    oldest: datetime | None = None
    first_due: datetime | None = None
    parked: int = 0
    in_row: int = 0
    """Of those, how many stand in the row of a PSP."""


def of_orders(conn: Connection) -> dict[OrderState, Waiting]:
    """Live orders by their state; states without any are left out."""
    live = [state.value for state in OrderState if state not in TERMINAL]
    rows = conn.execute(_ORDERS, {"live": live})
    return {
        OrderState(row.state): Waiting(row.waiting, row.due, row.oldest, row.first_due, row.parked, row.in_row)
        for row in rows
    }


def of_returns(conn: Connection) -> Waiting:
    """Money on its way back, refunds of done orders among it."""
    row = conn.execute(_RETURNS).one()
    return Waiting(row.waiting, row.due, row.oldest, row.first_due)


def of_news(conn: Connection) -> Waiting:
    """PSP events that no attempt of ours is known for."""
    row = conn.execute(_NEWS).one()
    return Waiting(row.waiting, oldest=row.oldest)


def clock(conn: Connection) -> datetime:
    """The database's clock."""
    now: datetime = conn.execute(text("SELECT clock_timestamp()")).scalar_one()
    return now
