"""Counts those who wait, tenant by tenant and by when their numbers were minted, for the outlook (shared/outlook.py).

What is read are live rows by their partial index, at most MOST a state and those first that are next; and of those who
came since the last look, their part of the primary key. Moves are not counted: the index by their time is one of block
ranges, and reads whatever was not summed up yet; who went is who was there and came, less who is there.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import ARRAY, Connection, Text, Uuid, bindparam, text

from shared.domain.states import OrderEvent, OrderState
from shared.ids import first_number_at_ms, minted_ms

MOST: Final = 100_000
"""Live orders of one state that are counted. At 300 a second the last of them is further off than is ever told."""
MOMENT_MS: Final = 32
"""How finely the time of numbers is told apart: by all but the last of its letters, five bits each. A thousand orders
may come within a second, and each has its place."""
_LETTERS: Final = len("trk_") + 9
_MINTED: Final = re.compile("trk_[0-9A-HJKMNP-TV-Z]{9}")
"""What our numbers begin with; one that came from elsewhere tells no time."""
MEASURED: Final = timedelta(seconds=60)
FEWEST: Final = 5
"""Payments of a tenant in that time by which it is known how long they take."""
MOST_PAYMENTS: Final = 2_000
MOST_TENANTS: Final = 200

WAITING: Final = (OrderState.ADMITTED, OrderState.OFFER_LOCKED, OrderState.PAYING, OrderState.CAPTURED)
"""States whose next move is up to workers and PSPs: neither to a shopper, nor to a verdict that is out."""
PAID: Final = (OrderEvent.PAYMENT_CAPTURED, OrderEvent.PAYMENT_DECLINED, OrderEvent.SHOPPER_CHALLENGED)

_LIVE: Final = f"""
    WITH live AS MATERIALIZED (
        SELECT one.* FROM unnest(CAST(:states AS text[])) AS wanted(state) CROSS JOIN LATERAL (
            SELECT tenant_id, left(tracking_number, {_LETTERS}) AS moment,
                   state = 'paying' OR waits_for IS NOT NULL AS in_hand,
                   CASE WHEN state = 'offer_locked' AND waits_for IS NOT NULL AND rings = 0 THEN due_at END AS place
            FROM orders WHERE orders.state = wanted.state AND due_at IS NOT NULL ORDER BY due_at LIMIT :most) AS one)
"""  # noqa: S608 - our own text; every value is bound
# Who stands in a PSP's row has its place there; who was rung for has left it.
_TENANTS: Final = text(f"""
    {_LIVE}
    SELECT tenant_id, count(*) FILTER (WHERE place IS NULL) AS waiting,
           count(*) FILTER (WHERE place IS NULL AND moment < :until) AS settled,
           count(*) FILTER (WHERE place IS NULL AND moment < :until AND NOT in_hand) AS untouched,
           count(*) FILTER (WHERE moment < :until) AS settled_in_all,
           count(place) AS standing,
           extract(epoch FROM min(place) - clock_timestamp()) AS first_in_s,
           extract(epoch FROM max(place) - clock_timestamp()) AS last_in_s
    FROM live GROUP BY tenant_id
""")  # noqa: S608 - our own text; every value is bound

_MOMENTS: Final = text(f"""
    {_LIVE}
    SELECT tenant_id = ANY (:crowds) AS of_crowd, CASE WHEN tenant_id = ANY (:rows) THEN tenant_id END AS has_row,
           moment, count(*) AS live, count(*) FILTER (WHERE place IS NULL) AS waiting
    FROM live GROUP BY 1, 2, 3 ORDER BY 3
""").bindparams(  # noqa: S608 - our own text; every value is bound
    bindparam("crowds", type_=ARRAY(Uuid)), bindparam("rows", type_=ARRAY(Uuid))
)

_CAME: Final = text("""
    SELECT tenant_id, count(*) AS came
    FROM (SELECT tenant_id FROM orders WHERE tracking_number >= :since AND tracking_number < :until LIMIT :most) AS new
    GROUP BY tenant_id
""")

_PAYMENTS: Final = text("""
    SELECT ended.tenant_id,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM ended.at - began.at)) AS usual_s
    FROM (SELECT tenant_id, tracking_number, version, at FROM order_events
          WHERE at > now() - :measured AND event = ANY (:events) LIMIT :most) AS ended
    JOIN order_events AS began ON began.tenant_id = ended.tenant_id AND began.version = ended.version - 1
     AND began.tracking_number = ended.tracking_number AND began.state = 'paying'
    GROUP BY ended.tenant_id HAVING count(*) >= :fewest ORDER BY count(*) DESC LIMIT :tenants
""").bindparams(bindparam("events", type_=ARRAY(Text)))


@dataclass(frozen=True, slots=True)
class Backlog:
    """Who waits of one tenant. *settled*: those minted before the moment that was asked for; *untouched*: those of
    them that nobody has in hand. *standing*: those in the rows of its PSPs, and when the first and the last place come
    up, in seconds; *settled_in_all*: as settled, and those."""

    waiting: int
    settled: int
    untouched: int
    settled_in_all: int
    standing: int
    first_in_s: float
    last_in_s: float


def moment_before(moment_ms: int) -> int:
    """The last moment that is over at *moment_ms* (both milliseconds since 1970)."""
    return moment_ms // MOMENT_MS * MOMENT_MS


def of_tenants(conn: Connection, until_ms: int) -> dict[UUID, Backlog]:
    """Who waits, tenant by tenant; *until_ms* as moment_before() tells it."""
    rows = conn.execute(_TENANTS, {"states": _states(WAITING), "most": MOST, "until": _moment(until_ms)})
    return {
        row.tenant_id: Backlog(
            row.waiting,
            row.settled,
            row.untouched,
            row.settled_in_all,
            row.standing,
            float(row.first_in_s or 0),
            float(row.last_in_s or 0),
        )
        for row in rows
    }


def moments(
    conn: Connection, crowds: Collection[UUID], rows: Collection[UUID]
) -> dict[bool | UUID, list[tuple[int, int]]]:
    """How many wait of those minted in each moment (its first millisecond, how many), ascending: of *crowds* (True) and
    of all others (False), without those who stand in a row; and with them, of each tenant of *rows*."""
    found: dict[bool | UUID, Counter[int]] = {True: Counter(), False: Counter()}
    asked = {"states": _states(WAITING), "most": MOST, "crowds": list(crowds), "rows": list(rows)}
    for row in conn.execute(_MOMENTS, asked):
        if not _MINTED.fullmatch(row.moment):
            continue
        at_ms = minted_ms(row.moment + "0")
        found[row.of_crowd][at_ms] += row.waiting
        if row.has_row is not None:
            found.setdefault(row.has_row, Counter())[at_ms] += row.live
    return {line: sorted(counted.items()) for line, counted in found.items()}


def came(conn: Connection, since_ms: int, until_ms: int) -> dict[UUID, int]:
    """How many orders were minted from *since_ms* to before *until_ms*, tenant by tenant, wherever they stand."""
    span = {"since": first_number_at_ms(since_ms), "until": first_number_at_ms(until_ms), "most": MOST}
    return {row.tenant_id: row.came for row in conn.execute(_CAME, span)}


def usual_payments_s(conn: Connection) -> Mapping[UUID, float]:
    """How long the payments of late took, the middle one of each tenant that had FEWEST, in seconds."""
    asked = {"measured": MEASURED, "events": _states(PAID), "most": MOST_PAYMENTS}
    rows = conn.execute(_PAYMENTS, asked | {"fewest": FEWEST, "tenants": MOST_TENANTS})
    return {row.tenant_id: float(row.usual_s) for row in rows}


def _moment(moment_ms: int) -> str:
    return first_number_at_ms(moment_ms)[:_LETTERS]


def _states(words: Iterable[str]) -> list[str]:
    return [str(word) for word in words]
