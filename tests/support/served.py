"""The API as a process, for tests that send what no client library would."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import psutil
from sqlalchemy import Engine

from deploy.stack import ports
from deploy.stack.home import Home
from deploy.stack.waiting import until
from shared.config import Settings
from tests.support.front_door import Shop, a_shop

ROOT: Final = Path(__file__).parents[2]
PATH: Final = "/api/v1/c2a/offer/checkout"


@dataclass(frozen=True, slots=True)
class Served:
    """A running API process and its log."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    shop: Shop

    def head(self, *lines: str, method: str = "POST") -> bytes:
        """The head of an authenticated request."""
        fixed = (f"{method} {PATH} HTTP/1.1", "Host: x", "Content-Type: application/json")
        keys = (f"{name}: {value}" for name, value in self.shop.headers.items())
        return "".join(f"{line}\r\n" for line in (*fixed, *keys, *lines, "")).encode()

    def connect(self) -> socket.socket:
        """A raw connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def workers(self) -> set[int]:
        """The processes that answer, by their ids."""
        return {process.pid for process in psutil.Process(self.process.pid).children()}

    def memory(self) -> int:
        """Resident bytes of all its processes."""
        parent = psutil.Process(self.process.pid)
        return sum(process.memory_info().rss for process in (parent, *parent.children()))


@contextmanager
def serving(settings: Settings, engine: Engine, tmp_path: Path) -> Iterator[Served]:
    """The API as deploy/up starts it, one process."""
    port = ports.kept(Home(tmp_path).make(), "api")
    log = tmp_path / "api.log"
    env = os.environ | {
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "BROKER_URL": settings.broker_url.get_secret_value(),
        "VAULT_URL": settings.vault_url.get_secret_value(),
    }
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "api.main", "--port", str(port), "--workers", "1"],
            cwd=ROOT,
            env=env,
            stdout=out,
            stderr=out,
        )
    try:
        until(lambda: _is_ready(port), "the API is ready", within_s=30)
        yield Served(process, port, log, a_shop(engine))
    finally:
        process.kill()
        process.wait()


def _is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def answer_on(client: socket.socket) -> tuple[int, dict[str, str]]:
    """The status and the document of the answer on *client*; (0, {}) if it was closed without one."""
    heard = b""
    while b"\r\n\r\n" not in heard:
        if not (more := client.recv(65_536)):
            return 0, {}
        heard += more
    head, _, body = heard.partition(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
    )
    while len(body) < length:
        body += client.recv(65_536)
    return int(head.split()[1]), json.loads(body or b"{}").get("status", {})


def ask(served: Served, *parts: bytes) -> tuple[int, dict[str, str]]:
    """Send *parts* on a connection of their own; what is answered."""
    with served.connect() as client:
        for part in parts:
            client.sendall(part)
        return answer_on(client)
