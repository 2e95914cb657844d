"""Counts who waits and tells it to the front door, so that a poller hears when to come back (shared/outlook.py).

Upkeep does it, because nobody else may see the orders of all tenants; one process of it at a time. It is told in the
volatile Redis, where the front door counts polls anyway, and nothing depends on it: without it a poller is told to come
back in two seconds.

A count costs what waits: a millisecond where nobody does; half a second of PostgreSQL on a busy machine where 100,000
do. So there is a second between two, and more after one that took long: PostgreSQL gives them BUSY of a core at most.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from secrets import token_hex
from typing import Final
from uuid import UUID

import structlog
from redis.exceptions import RedisError

from shared.outlook import KEY, LIFE_S, Line, Outlook
from shared.store import backlog, waiting_rows
from shared.store.backlog import MOMENT_MS
from shared.store.engine import statements
from workers.counted import Count, Lines, Rows
from workers.runtime import Runtime

log = structlog.get_logger(__name__)

PERIOD_S: Final = 1.0
"""How often it is counted: a poll's shortest wait is twice that."""
BUSY: Final = 0.1
"""The share of a core that counting may take."""
PAYMENTS_EVERY_S: Final = 5.0
"""How often it is looked how long payments take; it is the middle one of a minute's."""
COUNTER: Final = "c2a:outlook:counter"
COUNTER_LIFE_MS: Final = 5_000
"""Who counts goes on counting; if it is silent for so long, another upkeep process does."""
SETTLES_MS: Final = 500
"""An order may be written so long after its number was minted; those younger are left out where pace is measured."""
MOST_POINTS: Final = 200
"""Bounds what is told: some 5 KiB a line."""


class Foresight:
    """Counts again and again, for one thread."""

    def __init__(self) -> None:
        self._name = token_hex(8)
        self._lines, self._rows = Lines(), Rows()
        self._before: Count | None = None
        self._next_at = self._payments_at = 0.0
        self._usual_s: Mapping[UUID, float] = {}

    def look(self, run: Runtime) -> None:
        """Count once, unless another does, and tell. Raises SQLAlchemyError."""
        began = time.monotonic()
        if began < self._next_at:
            return
        try:
            if self._is_mine(run):
                outlook = self._count(run, began)
                run.vault.redis.set(KEY, outlook.model_dump_json(), ex=LIFE_S)
        except RedisError as error:
            log.warning("foresight.untold", error=type(error).__name__)
        took = time.monotonic() - began
        self._next_at = began + min(took / BUSY, LIFE_S / 2)

    def _is_mine(self, run: Runtime) -> bool:
        redis = run.vault.redis
        if redis.set(COUNTER, self._name, nx=True, px=COUNTER_LIFE_MS):
            return True
        is_mine = redis.get(COUNTER) == self._name.encode()
        if is_mine:
            redis.pexpire(COUNTER, COUNTER_LIFE_MS)
        return is_mine

    def _count(self, run: Runtime, now: float) -> Outlook:
        with statements(run.engine) as conn:
            at_ms = round(waiting_rows.clock(conn).timestamp() * 1_000)
            until_ms = backlog.moment_before(at_ms - SETTLES_MS)
            count = Count(time.monotonic(), until_ms, backlog.of_tenants(conn, until_ms))
            crowds, rows = count.crowds(run.settings.crowd_orders), count.rows()
            moments = backlog.moments(conn, crowds, rows)
            came = backlog.came(conn, self._before.until_ms, until_ms) if self._before else {}
            if now >= self._payments_at:
                self._payments_at = now + PAYMENTS_EVERY_S
                self._usual_s = backlog.usual_payments_s(conn)
        before, self._before = self._before, count
        self._lines.measure(before, count, came, crowds)
        self._rows.measure(before, count, came, rows)

        def line(of: bool | UUID, per_s: float | None) -> Line:
            return Line(per_s=per_s, points=points(moments.get(of, []), at_ms))

        return Outlook(
            turn=line(False, self._lines.per_s(of_crowd=False)),  # noqa: FBT003
            crowd=line(True, self._lines.per_s(of_crowd=True)),  # noqa: FBT003
            crowds=crowds,
            rows={tenant: line(tenant, self._rows.per_s(tenant) or as_placed) for tenant, as_placed in rows.items()},
            usual_s=self._usual_s,
        )


def points(moments: list[tuple[int, int]], at_ms: int) -> tuple[tuple[int, int], ...]:
    """*moments* as the points of a line counted at *at_ms*: how many are older than the end of each. Of them so many
    are told that no two are further apart than a MOST_POINTS-th of the line, and what one moment holds."""
    if not moments:
        return ()
    told, older = [(moments[0][0], 0)], 0
    apart = sum(orders for _, orders in moments) / MOST_POINTS
    for start_ms, orders in moments:
        if older - told[-1][1] + orders > apart and start_ms > told[-1][0]:
            told.append((start_ms, older))
        older += orders
        if older - told[-1][1] >= apart:
            told.append((start_ms + MOMENT_MS, older))
    told.append((at_ms, older))
    return tuple((min(end_ms, at_ms), count) for end_ms, count in told)
