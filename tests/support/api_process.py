"""The API as a process of its own on any servers: one more of its kind beside a stack's, or one to be put in need."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import psutil

from deploy.stack import ports
from deploy.stack.home import ROOT, Home
from deploy.stack.waiting import until

READY_WITHIN_S: Final = 60.0
"""A start takes two seconds; on a machine with seven times as much to do as it has cores, ten."""
ENDS_WITHIN_S: Final = 20.0
"""It finishes what runs, within 8 s."""


@dataclass(slots=True)
class ApiProcess:
    """One API: a master and one process that serves."""

    port: int
    log: Path
    environment: Mapping[str, str]
    _process: subprocess.Popen[bytes] | None = None

    @property
    def base_url(self) -> str:
        """Where it answers, without a path."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def server(self) -> psutil.Process:
        """The process that serves."""
        assert self._process is not None
        [child] = psutil.Process(self._process.pid).children()
        return child

    def start(self) -> None:
        """Start it; returns once it reaches its database and its vault."""
        argv = ("-m", "api.main", "--port", str(self.port), "--workers", "1")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, *argv], cwd=ROOT, env=dict(self.environment), stdin=subprocess.DEVNULL,
                stdout=log, stderr=log,
            )  # fmt: skip
        until(self.is_ready, f"the API is ready (see {self.log})", within_s=READY_WITHIN_S)

    def is_ready(self) -> bool:
        """What /readyz says."""
        try:
            return httpx.get(f"{self.base_url}/readyz", trust_env=False, timeout=5).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def stop(self) -> None:
        """SIGTERM: it finishes what runs, and goes."""
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise


@contextmanager
def running(environment: Mapping[str, str], folder: Path) -> Iterator[ApiProcess]:
    """An API that is ready, stopped at the end; its log is in *folder*."""
    api = ApiProcess(ports.kept(Home(folder).make(), "api"), folder / "api.log", environment)
    api.start()
    try:
        yield api
    finally:
        api.stop()
