"""What this process knows of the backlog: read from the volatile Redis once a second at most, by whoever polls then.

Nothing is asked for it of PostgreSQL, and of Redis one value a second and process. Where nobody tells it (upkeep is
down, or Redis is), nobody knows, and pollers are told what they are told where nobody waits.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Final
from uuid import UUID

import structlog
from pydantic import ValidationError
from redis import Redis
from redis.exceptions import RedisError

from shared.ids import minted_ms
from shared.outlook import KEY, LIFE_S, Outlook
from shared.redis_wire import Wire, raised

log = structlog.get_logger(__name__)

EVERY_S: Final = 1.0
"""As often as it is told (workers/foresight.py)."""


class Outlooks:
    """The outlook as it was last told; safe to ask from any thread or greenlet."""

    def __init__(self, redis: Redis, clock: Callable[[], float] = time.monotonic) -> None:
        """*redis*: one that is given up on soon: a poll waits for it."""
        self._redis = redis  # Whose pool is closed with it.
        self._wire, self._clock = Wire(redis.connection_pool), clock
        self._ask_at = 0.0
        self._told: tuple[Outlook, float] | None = None
        """And the time it was counted at, by our clock."""

    def wait_s(self, tenant_id: UUID, tracking_number: str, *, is_paid: bool) -> float | None:
        """Seconds until the order has ended, if it waits now; None: nobody knows. *is_paid*: it waits for what comes
        after its payment."""
        told = self._now()
        if told is None:
            return None
        outlook, counted_at = told
        return outlook.wait_s(tenant_id, minted_ms(tracking_number), self._clock() - counted_at, is_paid=is_paid)

    def row_s(self, tenant_id: UUID, tracking_number: str) -> float | None:
        """The same by the row of its PSPs alone; None: there is none worth a word."""
        told = self._now()
        if told is None:
            return None
        outlook, counted_at = told
        return outlook.row_s(tenant_id, minted_ms(tracking_number), self._clock() - counted_at)

    def payment_s(self, tenant_id: UUID) -> float | None:
        """Seconds that a payment of the tenant takes; None: nobody knows."""
        told = self._now()
        return told[0].usual_s.get(tenant_id) if told else None

    def as_known(self) -> Outlooks:
        """The same, asking nobody: for whoever may not wait while it answers."""
        known = Outlooks(self._redis, self._clock)
        known._ask_at, known._told = math.inf, self._told
        return known

    def _now(self) -> tuple[Outlook, float] | None:
        now = self._clock()
        if now >= self._ask_at:
            self._ask_at = now + EVERY_S  # First, so that one asks and the others answer by what was.
            self._told = self._read(now)
        if self._told is not None and now - self._told[1] > LIFE_S:
            self._told = None
        return self._told

    def _read(self, now: float) -> tuple[Outlook, float] | None:
        try:
            told, left_ms = map(raised, self._wire.ask(("GET", KEY), ("PTTL", KEY)))
            return (Outlook.model_validate_json(told), now - (LIFE_S - left_ms / 1_000)) if told else None
        except (RedisError, ValidationError) as error:
            log.warning("outlook.unread", error=type(error).__name__)
            return None
