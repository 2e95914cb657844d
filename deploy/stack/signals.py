"""Turns the signals that mean "stop" into one exception, raised where we wait and nowhere else.

Raised by the handler itself it could strike between any two steps of any library (it once made a line appear
twice). So the handler only notes that somebody asked, and every wait of ours looks.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

STOPPING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, deploy/down or an init system, and a terminal that went away."""

_asked: Final = threading.Event()


class StopAsked(BaseException):
    """Somebody wants the stack to stop. Like KeyboardInterrupt: no `except Exception` may swallow it."""


def _note(_number: int, _frame: FrameType | None) -> None:
    _asked.set()


@contextmanager
def heard() -> Iterator[None]:
    """Within, the stopping signals are noted; asked once or five times is the same."""
    _asked.clear()
    before = {number: signal.signal(number, _note) for number in STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _asked.clear()  # What was asked was asked of this block.


def check() -> None:
    """Raise StopAsked if somebody asked; for every loop that waits."""
    if _asked.is_set():
        raise StopAsked


def wait() -> None:
    """Wait until somebody asks, then raise StopAsked."""
    _asked.wait()
    check()
