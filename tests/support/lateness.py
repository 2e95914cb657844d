"""How late this machine wakes those who sleep: what a promise in seconds must be forgiven on a machine that is full."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

NAP_S: Final = 0.01


@dataclass(slots=True)
class Lateness:
    """Seconds by which a sleeper was woken late, all its naps together; close to nothing on a machine with room."""

    seconds: float = 0.0


@contextmanager
def watched() -> Iterator[Lateness]:
    """The lateness of this machine within."""
    late, stopping = Lateness(), threading.Event()

    def nap() -> None:
        while not stopping.is_set():
            before = time.monotonic()
            stopping.wait(NAP_S)
            late.seconds += max(0.0, time.monotonic() - before - NAP_S)

    sleeper = threading.Thread(target=nap)
    sleeper.start()
    try:
        yield late
    finally:
        stopping.set()
        sleeper.join()
