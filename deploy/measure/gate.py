"""Holds workers back while work is laid out for them, and lets them go in one moment.

They are stopped, not ended: when they go on they are warm and connected, so what is timed is the work alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import psutil

from deploy.measure.processes import family


@contextmanager
def closed(roots: Iterable[psutil.Process]) -> Iterator[None]:
    """No process of the families of *roots* runs within the block."""
    held: list[psutil.Process] = []
    try:
        for root in roots:
            for process in family(root):
                process.suspend()
                held.append(process)
        yield
    finally:
        for process in held:
            if process.is_running():
                process.resume()
