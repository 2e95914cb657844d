"""A plain loop in a thread of the upkeep process: it needs no broker to wake it, and nothing ends it but its stop.

A database that is away is met by trying again. Any other error is a bug; it is logged with its place, and the next
round is tried all the same: a loop that others rely on must not die of one row.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from shared.store.away import is_away

log = structlog.get_logger(__name__)

STOP_WITHIN_S: Final = 5.0
"""A round takes well under a second; one that takes longer is left to end with its process."""


class Loop:
    """Calls *work* with the number of the round, every *period_s*, until it is stopped."""

    def __init__(self, name: str, period_s: float, work: Callable[[int], object]) -> None:
        self.name: Final = name
        self._period_s = period_s
        self._work = work
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin; the first round comes after one period."""
        self._thread.start()

    def stop(self) -> None:
        """End after the present round."""
        self._stopping.set()
        self._thread.join(STOP_WITHIN_S)

    def _run(self) -> None:
        for number in itertools.count():
            if self._stopping.wait(self._period_s):
                return
            self.round(number)

    def round(self, number: int) -> None:
        """The *number*-th round, whatever comes of it."""
        try:
            self._work(number)
        except Exception as error:
            if isinstance(error, SQLAlchemyError) and is_away(error):
                log.warning("loop.database_away", loop=self.name, error=type(error).__name__)
            else:
                log.exception("loop.failed", loop=self.name)
