"""Keeps room for the orders to come, and nothing for longer than it is to be kept.

One round a minute in the upkeep process. Most find nothing to do: then they read the catalogue and a few pages.
"""

from __future__ import annotations

from typing import Final

import structlog

from shared.config import Settings
from shared.store import months, sweeps
from shared.store.sweeps import Sweep
from workers.runtime import Runtime

log = structlog.get_logger(__name__)

PERIOD_S: Final = 60.0
"""An installation that slept through a month has its partition a minute after its start."""
DROP_EVERY: Final = 60
"""Rounds between two looks for months that are old enough: who keeps one back is told of every hour."""


class Keeper:
    """What one process knows from round to round: how far its sweeps came."""

    def __init__(self, settings: Settings) -> None:
        self._orders_kept_months = settings.orders_kept_months
        self._sweeps: list[tuple[Sweep, int]] = [
            (sweeps.of_psp_events(), settings.psp_events_kept_days),
            (sweeps.of_attempts(), settings.orders_kept_months),
            (sweeps.of_refunds(), settings.orders_kept_months),
            (sweeps.of_holds(), settings.orders_kept_months),
            (sweeps.of_actions(), settings.orders_kept_months),
            (sweeps.of_offers(), settings.offers_kept_days),
        ]

    def look(self, run: Runtime, number: int) -> None:
        """One round, the *number*-th since the start."""
        months.make(run.engine)
        if self._orders_kept_months and number % DROP_EVERY == 0:
            months.drop_old(run.engine, months=self._orders_kept_months)
        for sweep, kept in self._sweeps:
            if kept and (rows := sweep.round(run.engine, kept)):
                log.info("keeper.swept", table=sweep.table, rows=rows)
