"""deploy/up --detach: starts the stack in a session of its own and returns once it works."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from deploy.stack import signals
from deploy.stack.home import ROOT, Home
from deploy.stack.waiting import LOOK_EVERY_S


def main(asked: argparse.Namespace) -> int:
    """Start `deploy/up` without a terminal and show what it says until it is ready; its exit code."""
    home = Home(asked.home).make()
    log = home.log_of("up")
    seen = log.stat().st_size if log.exists() else 0
    reading, telling = os.pipe()
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "deploy.stack", "up", *_arguments(asked), "--tell", str(telling)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd=ROOT,
            pass_fds=[telling],
            start_new_session=True,
        )
    os.close(telling)
    try:
        with signals.heard():
            is_ready = _follow(process, reading, log, seen)
    except signals.StopAsked:
        process.terminate()
        process.wait()
        return 1
    return 0 if is_ready else 1


def _arguments(asked: argparse.Namespace) -> list[str]:
    port = ["--port", str(asked.port)] if asked.port else []
    given = {"--reset": asked.reset, "--no-demo": asked.no_demo, "--one-pool": asked.one_pool}
    flags = [flag for flag, on in given.items() if on]
    return ["--home", str(asked.home), "--psp", asked.psp, "--broker", asked.broker, *port, *flags]


def _follow(process: subprocess.Popen[bytes], reading: int, log: Path, seen: int) -> bool:
    """Copy the log to our output until the stack is ready (True) or ended (False).

    The waits in between are the stack's own, and each of those has an end.
    """
    os.set_blocking(reading, False)
    with log.open("rb") as lines:
        lines.seek(seen)
        while True:
            signals.check()
            told = _read(reading)
            sys.stdout.write(lines.read().decode(errors="replace"))
            sys.stdout.flush()
            if told is not None:
                return told == b"ready"
            try:
                process.wait(LOOK_EVERY_S)
            except subprocess.TimeoutExpired:
                continue


def _read(pipe: int) -> bytes | None:
    """What the stack told, nothing if it ended without a word, None while it has not decided."""
    try:
        return os.read(pipe, 16)
    except BlockingIOError:
        return None
