"""Tells others which processes make up the stack: stack.json for people and programs that drive it, and a note
for our own next start, should this supervisor be killed before it can clean up.

Both are replaced in one step whenever a process starts or ends, and looked over twice a second for the children
that workers and the API make by themselves.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final

import psutil

from deploy.stack.home import Home, write_json
from deploy.stack.leftovers import write_note
from deploy.stack.supervisor import Supervisor

LOOK_EVERY_S: Final = 0.5
"""A child that a worker replaced is named within half a second."""


class Record:
    """Keeps stack.json and the note true."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._facts: Mapping[str, Any] | None = None
        self._written: dict[str, Any] | None = None
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def publish(self, facts: Mapping[str, Any], supervisor: Supervisor) -> None:
        """Begin to tell: *facts* and the processes of *supervisor*, until `close`."""
        self._facts = facts
        self.update(supervisor)
        self._thread = threading.Thread(target=self._look_over, args=(supervisor,), name="record", daemon=True)
        self._thread.start()

    def update(self, supervisor: Supervisor) -> None:
        """Write down what runs now."""
        with self._lock:
            running = supervisor.running()
            write_note(self._home, running)
            if self._facts is None or self._closing.is_set():
                return
            children = _children()
            processes = {
                program.name: _family(pid, children) if program.shows_children else [pid] for program, pid in running
            }
            document = {**self._facts, "processes": processes}
            if document != self._written:
                write_json(self._home.stack_file, document)
                self._written = document

    def close(self) -> None:
        """Take stack.json away: it tells of a running stack, and numbers of the dead may soon be others'."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()
        with self._lock:
            self._home.stack_file.unlink(missing_ok=True)

    def _look_over(self, supervisor: Supervisor) -> None:
        seen: list[int] = []
        while not self._closing.wait(LOOK_EVERY_S):
            # Who is whose child costs 20 ms to find out, which numbers there are a tenth of one.
            if (now := psutil.pids()) != seen:
                self.update(supervisor)
                seen = now


def _children() -> dict[int, list[int]]:
    """Of every process of this machine, its children in the order they were made; one look for all our programs."""
    children: dict[int, list[int]] = defaultdict(list)
    for process in psutil.process_iter(["ppid"]):
        children[process.info["ppid"]].append(process.pid)
    return children


def _family(pid: int, children: Mapping[int, list[int]]) -> list[int]:
    """The process first, then all that came of it."""
    return [pid, *(member for child in children.get(pid, ()) for member in _family(child, children))]
