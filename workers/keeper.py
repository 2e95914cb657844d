"""Keeps room for the orders to come, and no order for longer than it is to be kept.

One round a minute in the upkeep process. Most find nothing to do: then they read the catalogue and a few pages.
"""

from __future__ import annotations

from typing import Final

from shared.store import months
from workers.runtime import Runtime

PERIOD_S: Final = 60.0
"""An installation that slept through a month has its partition a minute after its start."""


def keep(run: Runtime) -> None:
    """One round."""
    months.make(run.engine)
