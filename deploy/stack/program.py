"""One process of the stack: how it starts, when it is ready, how it ends.

Each runs in a session of its own, so Ctrl-C in a terminal reaches the supervisor alone and the order of stopping
is ours; and whatever it leaves behind can be ended as a group, by a number that belongs to nobody else.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Final

from deploy.stack.account import Account

HOME_MARK: Final = "C2A_STACK_HOME"
"""In the environment of every process we start: whose it is, should its supervisor die without a word."""


class Stage(IntEnum):
    """What stands on what: a stage is stopped before the ones below it."""

    SERVER = 0
    PSP = 1
    PRODUCT = 2


@dataclass(frozen=True, slots=True)
class Program:
    """How to run one process, and how to tell that it works."""

    name: str
    argv: tuple[str, ...]
    log: Path
    cwd: Path
    env: Mapping[str, str] = field(repr=False)
    is_ready: Callable[[], bool]
    account: Account | None = None
    before_start: Callable[[], object] | None = None  # Clears what an earlier life left behind.
    stop_signal: signal.Signals = signal.SIGTERM
    grace_s: float = 5.0
    """How long it may take to end when asked; then it is killed."""
    stage: Stage = Stage.SERVER
    shows_children: bool = False
    """Whether its children do its work and are worth naming in stack.json."""


def spawn(program: Program) -> subprocess.Popen[bytes]:
    """Start *program* in a session of its own, writing to its log. Raises OSError."""
    if program.before_start is not None:
        program.before_start()
    account = program.account
    log = os.open(program.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        return subprocess.Popen(
            program.argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=program.cwd,
            env=dict(program.env),
            start_new_session=True,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=() if account else None,
        )
    finally:
        os.close(log)


def stop(process: subprocess.Popen[bytes], program: Program) -> int:
    """Ask *process* to end, kill its group if it does not within its grace, and return its exit code.

    For processes nobody else waits for; the supervisor has its own way.
    """
    process.send_signal(program.stop_signal)
    try:
        process.wait(timeout=program.grace_s)
    except subprocess.TimeoutExpired:
        kill_group(process.pid)
    return process.wait()


def kill_group(group: int) -> None:
    """Kill every process of *group*; one that has none left is no error."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


def how_it_ended(returncode: int) -> str:
    """An exit code in words."""
    return f"was killed by {signal.Signals(-returncode).name}" if returncode < 0 else f"exited with {returncode}"
