"""Stripe's API as published, as a real HTTP server of this process: for what must be provoked, and for strictness.

It is no Stripe: it knows the calls the adapter makes and refuses every parameter that Stripe does not publish for them.
What it does by itself is what Stripe documents; the rest is faults that a test asks for.
"""

from __future__ import annotations

import json
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from secrets import token_bytes, token_hex
from typing import Any
from urllib.parse import parse_qs, urlsplit

from shared.psp.port import Account, Channel
from tests.support.stripe_fake import form, pages
from tests.support.stripe_fake.books import Books
from tests.support.stripe_fake.calls import Call, check, table
from tests.support.stripe_fake.clerk import Clerk
from tests.support.stripe_fake.errors import Document, Refused
from tests.support.stripe_fake.faults import AFTER, BEFORE, GARBLED, SAID, Answer, Faults
from tests.support.stripe_fake.intents import Intents
from tests.support.stripe_fake.keys import Keys
from tests.support.stripe_fake.moves import Moves
from tests.support.stripe_fake.sessions import Sessions

UNKNOWN_URL = Refused(404, "invalid_request_error", None, message="Unrecognized request URL")
NO_SUCH_KEY = Refused(401, "invalid_request_error", None, message="Invalid API Key provided")


class Cut(Exception):
    """The connection ends here, without an answer."""


@dataclass
class StripeFake:
    """A running fake: its accounts, its faults, and how long its things take."""

    base_url: str = ""
    settle_s: float = 1.0
    """How long a debit and a transfer are on their way."""
    hang_s: float = 5.0
    """How long a call hangs, and an answer dribbles."""
    slow_s: float = 0.0
    """What every call takes before anything is done."""
    faults: Faults = field(default_factory=Faults)
    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    """All that was asked, as it came."""
    over: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.lock = threading.RLock()
        self.clerk = Clerk()
        self.books: dict[str, Books] = {}
        self.keys: dict[str, Keys] = {}
        moves = Moves(lambda: self.base_url, self.clerk.tell, self._later, lambda: self.settle_s)
        self.intents = Intents(moves)
        self.sessions = Sessions(moves, self.intents)
        self._calls = table(self.intents, self.sessions)

    def account(self, webhook_url: str | None = None) -> Account:
        """A new account, as an adapter needs it."""
        api_key = f"sk_test_{token_hex(16)}"
        secret = f"whsec_{b64encode(token_bytes(24)).decode()}"
        self.books[api_key] = Books(api_key, webhook_url, secret)
        self.keys[api_key] = Keys()
        return Account(
            tenant_id="e2a1c7b2-4f3a-4b8e-9c2d-1a2b3c4d5e6f",
            provider="stripe",
            account_id=f"acc_{token_hex(8)}",
            adapter="stripe",
            base_url=self.base_url,
            channels=frozenset(Channel),
            credentials={"apiKey": api_key, "webhookSecret": secret},
        )

    def books_of(self, account: Account) -> Books:
        """What the fake has of *account*."""
        return self.books[account.credentials["apiKey"]]

    def heal(self) -> None:
        """No fault, no lag."""
        self.faults.heal()
        self.settle_s, self.hang_s, self.slow_s, self.intents.index_lag_s = 1.0, 5.0, 0.0, 0.0

    def answer(self, verb: str, target: str, headers: dict[str, str], body: bytes) -> tuple[Answer, str | None]:
        """The answer to one request, and what befalls it on its way; raises Cut."""
        self.requests.append((verb, target, headers, body))
        self.over.wait(self.slow_s)
        url = urlsplit(target)
        call, name = self._call(verb, url.path)
        trouble = self.faults.take(call.operation) if call else None
        if trouble == "proxy":
            return self.faults.proxy, None
        if trouble in BEFORE and trouble in SAID and trouble != "http500":
            return SAID[trouble], None
        if trouble in ("drop", "timeoutBefore"):
            self._hang(trouble)
        try:
            answer = self._served(call, name, form.read(url.query or body.decode()), headers, verb, body, trouble)
        except Refused as refused:
            answer = (refused.status, json.dumps(refused.body).encode())
        if trouble in ("dropAfter", "timeoutAfter"):
            self._hang(trouble)
        if trouble in GARBLED and answer[0] == 200:
            answer = (answer[0], GARBLED[trouble](answer[1]))
        if self.faults.garble is not None and call is not None:
            answer = self.faults.garble(call.operation, answer)
        return answer, trouble if trouble == "dribble" else None

    def _served(
        self, call: Call | None, name: str, params: Document, headers: dict[str, str], verb: str, body: bytes,
        trouble: str | None,
    ) -> Answer:  # fmt: skip
        books = self.books.get(headers.get("authorization", "").removeprefix("Bearer "))
        if books is None:
            raise NO_SUCH_KEY
        if call is None:
            raise UNKNOWN_URL
        version = headers["stripe-version"]
        check(call, params, version)
        key = headers.get("idempotency-key") if verb == "POST" else None
        if key is None:
            return self._done(call, books, name, params, version, trouble)
        keys = self.keys[books.api_key]
        known = keys.begin(key, f"{call.operation} {name} {sorted(body.decode().split('&'))}")
        if known is not None:
            return known
        try:
            answer = self._done(call, books, name, params, version, trouble)
        except BaseException:
            keys.let_go(key)
            raise
        keys.keep(key, answer)
        return answer

    def _done(self, call: Call, books: Books, name: str, params: Document, version: str, trouble: str | None) -> Answer:
        if trouble == "http500":
            return SAID["http500"]
        with self.lock:
            try:
                done: Answer = (200, json.dumps(call.do(books, name, params, version)).encode())
            except Refused as refused:
                done = (refused.status, json.dumps(refused.body).encode())
        return SAID["http500After"] if trouble == "http500After" else done

    def _call(self, verb: str, path: str) -> tuple[Call | None, str]:
        for known, pattern, call in self._calls:
            found = pattern.fullmatch(path)
            if known == verb and found is not None:
                return call, (found.groups() or ("",))[0]
        return None, ""

    def _later(self, seconds: float, job: Callable[[], None]) -> None:
        def locked() -> None:
            with self.lock:
                job()

        self.clerk.later(seconds, locked)

    def _hang(self, trouble: str) -> None:
        if trouble.startswith("timeout"):
            self.over.wait(self.hang_s)
        raise Cut

    def decide(self, path: str, decision: str) -> str | None:
        """What the shopper does on a page; where the browser goes then. None: no such page."""
        with self.lock:
            return pages.decide(self.books.values(), self.intents.moves, self.sessions, path, decision)


assert not AFTER & BEFORE


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # A crowd of callers is let in; the standard library's 5 would turn some away.


@contextmanager
def stripe_fake() -> Iterator[StripeFake]:
    """A fake on a free port of this machine, stopped at the end."""
    fake = StripeFake()
    with _Server(("127.0.0.1", 0), _handler(fake)) as server:
        fake.base_url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="stripe-fake")
        thread.start()
        fake.clerk.start()
        try:
            yield fake
        finally:
            fake.over.set()
            fake.clerk.stop()
            server.shutdown()
            thread.join()


def _handler(fake: StripeFake) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle(self) -> None:
            with suppress(ConnectionError):  # The caller hung up on us: what the test wants.
                super().handle()

        def do_GET(self) -> None:
            self._serve()

        def do_POST(self) -> None:
            self._serve()

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if not self.path.startswith("/v1/"):
                self._page(body)
                return
            headers = {name.lower(): value for name, value in self.headers.items()}
            try:
                (status, content), befalls = fake.answer(self.command, self.path, headers, body)
            except Cut:
                self.close_connection = True
                return
            self._begin(status, len(content))
            if befalls == "dribble":
                self._dribble(content)
            else:
                self.wfile.write(content)

        def _begin(self, status: int, length: int) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(length))
            self.end_headers()

        def _dribble(self, content: bytes) -> None:
            for at in range(len(content)):
                if fake.over.wait(fake.hang_s / len(content)):
                    break
                self.wfile.write(content[at : at + 1])
            self.close_connection = True

        def _page(self, body: bytes) -> None:
            decision = parse_qs(body.decode()).get("decision", [""])[0]
            target = fake.decide(self.path, decision)
            self.send_response(404 if target is None else 303)
            if target is not None:
                self.send_header("Location", target)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing: a test tells what it needs to by failing."""

    return Handler
