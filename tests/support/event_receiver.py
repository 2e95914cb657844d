"""A storefront that hears events: an HTTP process of its own, which verifies each with the official library.

`PUT /NAME` says with which secrets and statuses the address NAME receives (0: it does not answer before it is told
another, or to let so many calls go); `POST /NAME` is what it hears; `GET /NAME` is what it heard.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from secrets import token_hex
from typing import Any, Final

import httpx
from standardwebhooks import Webhook, WebhookVerificationError

ROOT: Final = Path(__file__).parents[2]
HANGS_S: Final = 60.0
"""Nobody waits for an answer for longer."""


@dataclass(slots=True)
class _Address:
    secrets: list[str] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    always: int = 204
    lets_go: int = 0
    retry_after: int | None = None
    heard: list[dict[str, Any]] = field(default_factory=list)


def _verified_by(secrets: list[str], body: bytes, headers: dict[str, str]) -> list[int]:
    """Which of *secrets*, by their places, verify the message."""
    found = []
    for place, secret in enumerate(secrets):
        try:
            Webhook(secret).verify(body, headers)
        except WebhookVerificationError:
            continue
        found.append(place)
    return found


def _may_go(address: _Address, lock: threading.Lock) -> bool:
    """Whether this is one of the calls that are let go."""
    with lock:
        may = address.lets_go > 0
        address.lets_go -= may
    return may


def _handler(addresses: dict[str, _Address], lock: threading.Lock) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _body(self) -> bytes:
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))

        def _say(self, status: int, body: bytes = b"", retry_after: int | None = None) -> None:
            self.send_response(status)
            if retry_after is not None:
                self.send_header("Retry-After", str(retry_after))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_PUT(self) -> None:
            told = json.loads(self._body())
            with lock:
                address = addresses[self.path]
                for name, value in told.items():
                    setattr(address, name, value)
            self._say(204)

        def do_GET(self) -> None:
            with lock:
                body = json.dumps(addresses[self.path].heard).encode()
            self._say(200, body)

        def do_POST(self) -> None:
            body, headers = self._body(), dict(self.headers.items())
            with lock:
                address = addresses[self.path]
                status = address.statuses.pop(0) if address.statuses else address.always
                address.heard.append(
                    {
                        "id": headers.get("webhook-id"),
                        "verified_by": _verified_by(address.secrets, body, headers),
                        "event": json.loads(body),
                        "headers": headers,
                        "status": status,
                        "at": time.monotonic(),
                    }
                )
            ends_at = time.monotonic() + HANGS_S
            while not status and not address.always and time.monotonic() < ends_at and not _may_go(address, lock):
                time.sleep(0.05)
            self._say(status or 204, retry_after=address.retry_after)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    return Handler


class _Server(ThreadingHTTPServer):
    request_queue_size = 128  # All threads of a teller are let in at once; of the standard library's 5 some would wait.


def serve() -> None:
    """Serve until killed; the first line says on which port."""
    made = _Server(("127.0.0.1", 0), _handler(defaultdict(_Address), threading.Lock()))
    sys.stdout.write(f"{made.server_port}\n")
    sys.stdout.flush()
    made.serve_forever()


@dataclass(frozen=True, slots=True)
class Heard:
    """One event as the storefront got it."""

    id: str
    verified_by: list[int]
    event: dict[str, Any]
    headers: dict[str, str]
    status: int
    at: float

    @property
    def about(self) -> str:
        """The order it tells of."""
        return str(self.event["data"]["trackingNumber"])


@dataclass(frozen=True, slots=True)
class Storefront:
    """One address of the process."""

    url: str
    http: httpx.Client

    def answers(self, **told: Any) -> None:
        """Receive with these `secrets`, and answer with these `statuses`, then `always` with one; or
        answer as many as `lets_go` of those that hang."""
        self.http.put(self.url, json=told).raise_for_status()

    @property
    def heard(self) -> list[Heard]:
        """All it heard so far, in order."""
        return [Heard(**one) for one in self.http.get(self.url).raise_for_status().json()]


@dataclass(frozen=True, slots=True)
class Receivers:
    """The running process."""

    port: int
    http: httpx.Client

    def storefront(self) -> Storefront:
        """A new address."""
        return Storefront(f"http://127.0.0.1:{self.port}/{token_hex(8)}", self.http)


@contextmanager
def running() -> Iterator[Receivers]:
    """The process, ended at the end."""
    command = [sys.executable, "-m", "tests.support.event_receiver"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            with httpx.Client(timeout=10, trust_env=False) as http:
                yield Receivers(int(process.stdout.readline()), http)
        finally:
            process.kill()


if __name__ == "__main__":
    serve()
