"""Waits for a condition, never for time to pass: every wait has an end and says what it waited for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from deploy.stack import signals

LOOK_EVERY_S: Final = 0.1
"""Short against the second that a server takes to start, long against the cost of one look."""


class WaitedInVain(RuntimeError):
    """Something did not become true in time."""


def until(condition: Callable[[], bool], what: str, *, within_s: float) -> None:
    """Return once *condition* holds; raises WaitedInVain naming *what* after *within_s* seconds, or StopAsked."""
    deadline = time.monotonic() + within_s
    while not condition():
        signals.check()
        if time.monotonic() > deadline:
            raise WaitedInVain(f"{what}: not within {within_s:g} s")
        time.sleep(LOOK_EVERY_S)
