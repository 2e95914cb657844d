"""Whether the broker answers: told by /readyz, required by nobody (design, promise 6).

It is asked beside the request, one question at a time, and its last answer stands for a while: a probe waits for a
silent broker no longer than WAIT_S, and any number of probes costs it one question every FRESH_S.
"""

from __future__ import annotations

import threading
import time
from typing import Final

from shared.depth import BrokerAway, Depths
from shared.messages import QUEUE_OF, Step

WAIT_S: Final = 0.3
"""A broker answers in a millisecond; a probe has a second in all."""
FRESH_S: Final = 5.0
"""How long an answer stands: half of what probes are usually apart."""


class BrokerWatch:
    """What one process knows of its broker. Safe to ask from any thread or greenlet."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._asking: threading.Thread | None = None
        self._told: tuple[float, bool] = (float("-inf"), False)

    def is_up(self) -> bool:
        """Whether it answered within the last FRESH_S seconds or does now."""
        with self._lock:
            if self._asking is None and not self._is_fresh():
                self._asking = threading.Thread(target=self._ask, name="broker-watch", daemon=True)
                self._asking.start()
            asking = self._asking
        if asking is not None:
            asking.join(WAIT_S)
        return self._is_fresh() and self._told[1]

    def _is_fresh(self) -> bool:
        return time.monotonic() - self._told[0] < FRESH_S

    def _ask(self) -> None:
        depths, answers = Depths(self._url), False
        try:
            depths.of(QUEUE_OF[Step.LOCK_OFFER])
            answers = True
        except BrokerAway:
            answers = False
        finally:
            depths.close()
            with self._lock:
                self._told, self._asking = (time.monotonic(), answers), None
