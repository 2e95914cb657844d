"""The real sandbox PSP as a process, and a receiver for its webhooks, for any test that wants them."""

from __future__ import annotations

import json
import queue
import signal
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from secrets import token_bytes, token_hex
from typing import Any, Final, TypeVar

import httpx

from deploy.stack import ports
from shared.psp.port import Account, Channel

ROOT: Final = Path(__file__).parents[2]
START_S: Final = 60.0
"""A start takes a second; with seven times as much to do as there are cores it took ten."""
STOP_S: Final = 10.0
"""The sandbox gives calls in flight 2 s; what still runs after this is killed."""


T = TypeVar("T")


class SandboxDidNotStart(RuntimeError):
    """The sandbox ended before it listened; what it said."""


@dataclass(slots=True)
class Sandbox:
    """A running sandbox process."""

    ledger: Path
    base_url: str = ""
    _process: subprocess.Popen[bytes] | None = None
    _http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=10, trust_env=False))

    @property
    def pid(self) -> int:
        """The process that runs now."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, on the same port as before if there was one."""
        port = self.base_url.rpartition(":")[2] or str(ports.draw())
        command = [sys.executable, "-m", "deploy.sandbox", "--port", port, "--ledger", str(self.ledger)]
        log = self.ledger.with_suffix(".log")
        with log.open("w") as out:
            self._process = subprocess.Popen(
                command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
            )
        said = until(lambda: log.read_text() if self.has_ended or "\n" in log.read_text() else "", seconds=START_S)
        if not said.startswith("sandbox PSP on "):
            self._process.wait(STOP_S)
            raise SandboxDidNotStart(log.read_text())
        self.base_url = said.split()[3]

    def kill(self) -> None:
        """kill -9: nothing gets a chance to finish."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        return self._end(signal.SIGTERM)

    def wait(self) -> int:
        """Its exit code, once it ends by itself."""
        assert self._process is not None
        return self._process.wait(STOP_S)

    def account(self, webhook_url: str | None = None, **more: Any) -> Account:
        """A new account, open at the sandbox, as an adapter needs it."""
        account_id, api_key = f"acc_{token_hex(8)}", f"key_{token_hex(16)}"
        secret = f"whsec_{b64encode(token_bytes(24)).decode()}"
        document = {"accountId": account_id, "apiKey": api_key, "webhookUrl": webhook_url, "webhookSecret": secret}
        self.post("/accounts", document | more)
        return Account(
            tenant_id="e2a1c7b2-4f3a-4b8e-9c2d-1a2b3c4d5e6f",
            provider="sandbox",
            account_id=account_id,
            adapter="sandbox",
            base_url=self.base_url,
            channels=frozenset(Channel),
            credentials={"apiKey": api_key, "webhookSecret": secret},
        )

    @property
    def has_ended(self) -> bool:
        """Whether no process runs now."""
        return self._process is None or self._process.poll() is not None

    def set_faults(self, **faults: Any) -> dict[str, Any]:
        """POST /faults; the settings in force."""
        return self.post("/faults", faults)

    def heal(self) -> None:
        """DELETE /faults."""
        self._http.delete(f"{self.base_url}/faults").raise_for_status()

    def charges(self, account: Account | None = None) -> list[dict[str, Any]]:
        """GET /ledger, of one account if named."""
        rows: list[dict[str, Any]] = self.get("/ledger")["charges"]
        return [row for row in rows if account is None or row["accountId"] == account.account_id]

    def get(self, path: str) -> dict[str, Any]:
        """A JSON document of the sandbox; raises for anything but a 2xx."""
        answer = self._http.get(self.base_url + path).raise_for_status()
        return dict(answer.json())

    def post(self, path: str, document: dict[str, Any]) -> dict[str, Any]:
        """The answer to a JSON document; raises for anything but a 2xx."""
        answer = self._http.post(self.base_url + path, json=document).raise_for_status()
        return dict(answer.json())

    def click(self, page_url: str, decision: str) -> httpx.Response:
        """What a browser sends for a button of the challenge page; redirects are not followed."""
        return self._http.post(page_url, data={"decision": decision})

    def close(self) -> None:
        """Stop the process and let go of its connections."""
        self._http.close()
        if not self.has_ended:
            self.stop()

    def _end(self, how: signal.Signals) -> int:
        process = self._process
        assert process is not None
        process.send_signal(how)
        try:
            return process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


@contextmanager
def sandbox(ledger: Path) -> Iterator[Sandbox]:
    """A sandbox on a free port of this machine, stopped at the end."""
    running = Sandbox(ledger)
    running.start()
    try:
        yield running
    finally:
        running.close()


@dataclass(frozen=True, slots=True)
class Hook:
    """One webhook as it arrived."""

    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        """Its document."""
        return dict(json.loads(self.body))


@dataclass(slots=True)
class Receiver:
    """A webhook address: what arrived there, and the statuses it answers with (then 204)."""

    url: str
    hooks: queue.Queue[Hook] = field(default_factory=queue.Queue)
    statuses: list[int] = field(default_factory=list)

    def next(self, timeout_s: float = 5.0) -> Hook:
        """The next webhook; raises queue.Empty when none comes."""
        return self.hooks.get(timeout=timeout_s)


@contextmanager
def receiver() -> Iterator[Receiver]:
    """A webhook address on this machine."""
    received = Receiver("")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = received.statuses.pop(0) if received.statuses else 204
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()
            received.hooks.put(Hook(dict(self.headers.items()), body))

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing: a test tells what it needs to by failing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        received.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield received
        finally:
            server.shutdown()
            thread.join()


def until(ask: Callable[[], T], *, seconds: float = 20.0) -> T:
    """The first true answer of *ask*; fails when there is none in time.

    What is waited for takes a moment; a disk that stands still for seconds may hold up each commit on its way.
    """
    ends_at = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < ends_at, f"still not so after {seconds} s"
        time.sleep(0.02)
    return answer
