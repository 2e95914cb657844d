"""One supervisor a home: a lock that the kernel gives back whatever ends its holder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class AlreadyRunning(RuntimeError):
    """Somebody holds the lock of this home."""


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the lock at *path*, with our process number in it; raises AlreadyRunning."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(f"a stack already runs here (process {_number(path)}); deploy/down stops it") from None
        os.ftruncate(file, 0)
        os.pwrite(file, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(file)


def holder(path: Path) -> int | None:
    """The process that holds the lock at *path*; None if nobody does."""
    try:
        file = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return _number(path)
    else:
        return None
    finally:
        os.close(file)


def _number(path: Path) -> int | None:
    written = path.read_text()
    return int(written) if written else None  # Empty for the moment between taking the lock and writing.
