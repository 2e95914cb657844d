"""Load on an HTTP server by wrk: as many requests as a number of connections can hold in flight.

wrk costs a tenth of what a client in Python does, so that on a small machine the server gets the rest. Every server is
loaded alike; an answer that is an error makes the figure invalid, because errors are quick.
"""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import Any, Final

from deploy.stack import signals

SCRIPT: Final = Path(__file__).with_name("traffic.lua")
CONNECTIONS: Final = 16
"""Eight a server process: as many as it has connections to the database, so that none of ours waits in line."""
THREADS: Final = 2
LATE_S: Final = 20.0
"""wrk ends when its time is over; one that hangs so long after it is ended."""
LOOK_EVERY_S: Final = 0.1
NUMBER: Final = "@number@"
"""Stands in a body where each request has its own number."""
INSTALL: Final = "wrk is not on the PATH: apt-get install wrk (Debian, Ubuntu), brew install wrk, or build 4.1 or later"


class Invalid(RuntimeError):
    """What was measured is not what was meant to be measured."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Requests of one kind. With a body, each has a number of its own where NUMBER stands."""

    port: int
    method: str
    paths: Sequence[str]
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: str | None = None


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk saw: answers, seconds, and milliseconds to an answer."""

    requests: int
    seconds: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    wrk_s: float
    """Processor time of wrk itself."""

    @property
    def per_second(self) -> float:
        """Answers a second."""
        return self.requests / self.seconds


def is_there() -> bool:
    """Whether wrk is installed."""
    return shutil.which("wrk") is not None


def load(kind: Kind, folder: Path, *, seconds: float, connections: int = CONNECTIONS) -> Load:
    """Send requests of *kind* for *seconds*; *folder* holds what wrk reads. Raises Invalid, or StopAsked."""
    file = folder / "traffic-kind.lua"
    file.touch(mode=0o600)  # It holds a key.
    file.write_text(lua(kind))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    said = _run(
        [
            *("wrk", f"-t{min(THREADS, connections)}", f"-c{connections}", f"-d{max(1, round(seconds))}s"),
            *("--timeout", "10s", "-s", str(SCRIPT), f"http://127.0.0.1:{kind.port}", "--", str(file)),
        ],
        within_s=seconds + LATE_S,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    wrk_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return _load(json.loads(said.strip().splitlines()[-1]), wrk_s)


def _load(told: Mapping[str, Any], wrk_s: float) -> Load:
    errors = {name: told[name] for name in ("connect", "read", "write", "status", "timeout") if told[name]}
    if errors or not told["requests"]:
        raise Invalid(f"{told['requests']} answers, and these errors: {errors}")
    return Load(told["requests"], told["seconds"], told["p50"], told["p95"], told["p99"], wrk_s)


def _run(command: Sequence[str], *, within_s: float) -> str:
    """What *command* wrote. Its session is its own, so that Ctrl-C is for us to hear."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            said = _watched(process, within_s)
        finally:
            process.kill()
    if process.returncode not in (0, -9):
        raise Invalid(f"wrk exited with {process.returncode}")
    return said


def _watched(process: subprocess.Popen[str], within_s: float) -> str:
    for _ in range(round(within_s / LOOK_EVERY_S)):
        signals.check()
        try:
            return process.communicate(timeout=LOOK_EVERY_S)[0]
        except subprocess.TimeoutExpired:
            continue
    raise Invalid(f"wrk did not end within {within_s:g} s")


def lua(kind: Kind) -> str:
    """*kind* as traffic.lua reads it; JSON's strings are Lua's, where nothing but ASCII and no slash is escaped."""
    headers = ", ".join(f"[{json.dumps(name)}] = {json.dumps(value)}" for name, value in kind.headers.items())
    pieces = "nil" if kind.body is None else f"{{{', '.join(map(json.dumps, kind.body.split(NUMBER)))}}}"
    return (
        f"return {{method = {json.dumps(kind.method)}, headers = {{{headers}}}, run = {json.dumps(token_hex(6))},\n"
        f"paths = {{{', '.join(map(json.dumps, kind.paths))}}},\npieces = {pieces}}}\n"
    )
