"""A worker as deploy/up starts it, on any servers and with any environment: threads, and one process for all queues."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from deploy.stack.waiting import until
from shared.config import Settings
from shared.messages import QUEUE_OF
from tests.support import process_environment

ROOT: Final = Path(__file__).parents[2]
READY_WITHIN_S: Final = 60.0
"""A start takes two seconds; on a machine with seven times as much to do as it has cores, ten."""
ENDS_WITHIN_S: Final = 60.0
"""With a call in hand that nobody answers it takes eleven seconds; beside other work half a minute was seen."""
PLACES: Final = 4
"""Orders it works on at once."""
EVERY_QUEUE: Final = tuple(sorted(set(QUEUE_OF.values())))
QUIET: Final = ("--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "INFO")


@contextmanager
def running(
    settings: Settings,
    folder: Path,
    environment: Mapping[str, str],
    *,
    queues: Collection[str] = EVERY_QUEUE,
    places: int = PLACES,
) -> Iterator[subprocess.Popen[bytes]]:
    """A worker of *queues*, as it comes of every one, with the upkeep's loops; stopped at the end. Its log is in
    *folder*. *places*: orders it works on at once."""
    heartbeat = folder / "worker.heartbeat"
    argv = (
        "-m",
        "celery",
        "-A",
        "workers.main",
        "worker",
        "-Q",
        ",".join(queues),
        "-P",
        "threads",
        "-c",
        str(places),
        *QUIET,
    )
    with (folder / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *argv],
            cwd=ROOT,
            env=process_environment.of(settings) | {"C2A_HEARTBEAT_FILE": str(heartbeat)} | dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        until(heartbeat.exists, f"the worker lives (see {log.name})", within_s=READY_WITHIN_S)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
