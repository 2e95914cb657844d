"""Turns the signals that mean "stop" into one exception in the main thread, and only once."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

STOPPING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, deploy/down or an init system, and a terminal that went away."""


class StopAsked(BaseException):
    """Somebody wants the stack to stop. Like KeyboardInterrupt: no `except Exception` may swallow it."""


def _raise_once(number: int, _frame: FrameType | None) -> None:
    # Stopping is under way from here on: another signal must not tear it apart.
    for each in STOPPING:
        signal.signal(each, signal.SIG_IGN)
    raise StopAsked(signal.Signals(number).name)


@contextmanager
def raising_stop_asked() -> Iterator[None]:
    """Within, the first stopping signal raises StopAsked in the main thread and later ones are ignored."""
    before = {number: signal.signal(number, _raise_once) for number in STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
