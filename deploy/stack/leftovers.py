"""Ends what a supervisor left running when it was killed: its own processes, never anybody else's.

A process number alone proves nothing, since numbers come round again. A process is ours if its number and the time
it started are those we noted, or if it belongs to the group we noted and carries our home in its environment.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import psutil

from deploy.stack.home import Home, write_json
from deploy.stack.program import HOME_MARK, Program

SAME_START_S: Final = 1.0
"""The clock's correction between two readings of one start time stays below it; a number never comes round so fast."""
GRACE_S: Final = 10.0


def write_note(home: Home, running: Iterable[tuple[Program, int]]) -> None:
    """Note which processes are ours."""
    write_json(_note(home), {str(pid): _started(pid) for _, pid in running})


def end(home: Home) -> list[str]:
    """End the noted processes that still run, asking first; what was ended, for people to read."""
    left = _left(home)
    for process in left:
        _send(process, signal.SIGTERM)
    _, stubborn = psutil.wait_procs(left, timeout=GRACE_S)
    for process in stubborn:
        _send(process, signal.SIGKILL)
    psutil.wait_procs(stubborn, timeout=GRACE_S)
    _note(home).unlink(missing_ok=True)
    return [f"process {process.pid}" for process in left]


def _left(home: Home) -> list[psutil.Process]:
    note = _note(home)
    if not note.exists():
        return []
    noted = {int(pid): started for pid, started in json.loads(note.read_text()).items() if started is not None}
    return [process for process in psutil.process_iter() if _is_ours(process, noted, home)]


def _is_ours(process: psutil.Process, noted: dict[int, float], home: Home) -> bool:
    try:
        if process.pid in noted:
            return abs(process.create_time() - noted[process.pid]) < SAME_START_S
        return os.getpgid(process.pid) in noted and _bears_our_mark(process, home)
    except (psutil.Error, ProcessLookupError):
        return False  # It ended while we looked, or is not ours to look at.


def _bears_our_mark(process: psutil.Process, home: Home) -> bool:
    try:
        return process.environ().get(HOME_MARK) == str(home.path)
    except psutil.AccessDenied:
        # The API and the workers close their memory, and their environment with it, to all but root. What this very
        # Python runs, for us, in a group of ours is one of them.
        return process.uids().real == os.getuid() and process.cmdline()[:1] == [sys.executable]


def _send(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


def _started(pid: int) -> float | None:
    try:
        return psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return None


def _note(home: Home) -> Path:
    return home.run / "processes.json"
