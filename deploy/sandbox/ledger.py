"""Keeps what the sandbox did, so that a killed sandbox still knows whose money it holds.

Append-only JSON lines; one line is one transaction. Lines that come in while the disk is busy share the next fsync,
and no answer leaves before durable() returned. A torn last line was never answered for, so it is cut off; any other
bad line stops the start. When the disk refuses, the process ends: memory must never know more than the file.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Line = dict[str, Any]


class LedgerBroken(RuntimeError):
    """The ledger cannot be used: held by another process, or damaged before its last line."""


class Ledger:
    """The file, its lock, and the lines on their way to it."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        # It holds the accounts' keys: readable by its owner alone.
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._path = path
        self._waiting: list[bytes] = []
        self._written = 0  # Lines handed over ...
        self._safe = 0  # ... and lines on disk.
        self._finishing = False
        self._more = asyncio.Event()
        self._progress = asyncio.Condition()
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LedgerBroken(f"{path} is in use by another sandbox") from None

    def lines(self) -> Iterator[Line]:
        """Every transaction so far; cuts off a torn last line. Raises LedgerBroken for any other bad line."""
        good = 0
        with self._path.open("rb") as file:
            for number, raw in enumerate(file, start=1):
                line = _parsed(raw)
                if line is None:
                    if file.read(1):
                        raise LedgerBroken(f"{self._path}: line {number} is damaged")
                    os.ftruncate(self._file, good)
                    return
                good += len(raw)
                yield line

    def append(self, line: Line) -> None:
        """Hand one transaction over; durable() tells when it is on disk."""
        self._waiting.append(json.dumps(line, separators=(",", ":")).encode() + b"\n")
        self._written += 1
        self._more.set()

    async def durable(self) -> None:
        """Return once everything handed over so far is on disk."""
        mark = self._written
        if self._safe >= mark:
            return
        async with self._progress:
            await self._progress.wait_for(lambda: self._safe >= mark)

    async def run(self) -> None:
        """Write and fsync batches until finish(); raises OSError when the disk refuses."""
        while self._waiting or not self._finishing:
            await self._more.wait()
            self._more.clear()
            batch, self._waiting = self._waiting, []
            await asyncio.to_thread(self._write, b"".join(batch))
            async with self._progress:
                self._safe += len(batch)
                self._progress.notify_all()
        os.close(self._file)

    def finish(self) -> None:
        """Let run() end once everything handed over is on disk."""
        self._finishing = True
        self._more.set()

    def _write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._file, data) :]
        os.fdatasync(self._file)


def _parsed(raw: bytes) -> Line | None:
    if not raw.endswith(b"\n"):
        return None
    try:
        line = json.loads(raw)
    except ValueError:
        return None
    return line if isinstance(line, dict) else None
