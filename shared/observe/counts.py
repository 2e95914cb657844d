"""Where the processes of one program keep their counts, and how a scrape finds them all.

A process alone keeps them in memory. Where there is a port to ask at, there may be several processes behind it
(gunicorn's, a prefork pool's), and whichever answers must answer for all: then each counts in a file of its own
(slots.py), mapped into memory, so that what it counted outlives it.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from functools import partial
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry, values
from prometheus_client.multiprocess import MultiProcessCollector

from shared.config import Settings
from shared.observe.slots import NoSlot, Slots

log = structlog.get_logger(__name__)

_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Where prometheus_client looks for it."""


def share(settings: Settings) -> None:
    """From here on this process and its children count together, if anybody may ask them (C2A_METRICS_PORT).

    Called once, by the door of a program, before it forks and before anything is counted. Where there is no room for
    it (a full disk) each process counts for itself: no order waits for metrics.
    """
    if settings.metrics_port is None:
        return
    try:
        folder = settings.metrics_dir or _own_folder()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        slots = Slots(folder)
        slots.sweep()
        # The library's own way to say who is who.
        shared = values.MultiProcessValue(slots.mine)  # type: ignore[no-untyped-call]
    except (OSError, NoSlot) as error:
        log.error("metrics.not_shared", error=type(error).__name__)  # noqa: TRY400 - a trace would tell no more.
        return
    os.environ[_FOLDER] = str(folder)
    values.ValueClass = shared


def shared_by_all() -> CollectorRegistry | None:
    """What a scrape reads: the counts of every process that shares them; None where this process counts alone."""
    folder = os.environ.get(_FOLDER)
    if folder is None:
        return None
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=folder)  # type: ignore[no-untyped-call]
    return registry


def _own_folder() -> Path:
    """A folder that goes with this process."""
    folder = Path(tempfile.mkdtemp(prefix="c2a-metrics-"))
    atexit.register(partial(_remove, folder, os.getpid()))
    return folder


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:  # Not at the end of one of its children.
        shutil.rmtree(folder, ignore_errors=True)
