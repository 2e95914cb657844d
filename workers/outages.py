"""Hears that a PSP is back after it took no request or gave no answer, and lets those who wait for it move up.

Each of them would come back by its own pause, up to minutes from now; the first good answer is the news they wait for.
They come due one after the other, as far apart as their account's calls may be (shared/psp/traffic/), and the gate lets
no more through however many come: a PSP that has just come back is not met by all its waiters at once.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from shared.psp.traffic.lane import PspLane
from shared.store import overdue
from shared.store.engine import statements

log = structlog.get_logger(__name__)

BATCH: Final = 1_000
"""Waiters that move up, at most 20 s of them; those behind have their own place by then."""


class Outages:
    """What the engine room does about the end of one."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def over(self, lane: PspLane) -> None:
        """The PSP of *lane* answers again: let its waiters move up. It is told in the middle of somebody's call, so a
        database that is away is logged; then they come by their own pauses."""
        try:
            with statements(self._engine) as conn:
                apart = timedelta(seconds=lane.apart_s)
                waiters = overdue.move_up(conn, UUID(lane.tenant_id), lane.provider, apart=apart, limit=BATCH)
        except SQLAlchemyError as error:
            log.warning("psp.waiters_not_told", provider=lane.provider, error=type(error).__name__)
            return
        log.info("psp.waiters_told", provider=lane.provider, tenant=lane.tenant_id, waiters=waiters)
