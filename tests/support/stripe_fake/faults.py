"""What goes wrong between a caller and Stripe: before anything was done, after it, or in the answer alone."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

Answer = tuple[int, bytes]

BEFORE: Final = frozenset({"http500", "http503", "http429", "lockTimeout", "http409", "drop", "timeoutBefore", "proxy"})
"""Nothing was done."""
AFTER: Final = frozenset({"http500After", "dropAfter", "timeoutAfter", "dribble"})
"""It was done, and the answer does not come."""


def error(kind: str, code: str | None = None, **more: Any) -> bytes:
    """A document of Stripe's."""
    return json.dumps({"error": {"type": kind, "code": code, "message": "STRIPE TEXT", **more}}).encode()


SAID: Final[dict[str, Answer]] = {
    "http500": (500, error("api_error")),
    "http500After": (500, error("api_error")),
    "http503": (503, b"<h1>Service Unavailable</h1>"),
    "http429": (429, error("invalid_request_error", "rate_limit")),
    "lockTimeout": (429, error("invalid_request_error", "lock_timeout")),
    "http409": (409, error("idempotency_error", "idempotency_key_in_use")),
}


def _names(document: Any, change: Callable[[dict[str, str]], dict[str, str]]) -> None:
    document["metadata"] = change(document["metadata"])


def _changed(**fields: Any) -> Callable[[bytes], bytes]:
    def change(body: bytes) -> bytes:
        document = json.loads(body)
        for name, value in fields.items():
            if name in document:
                document[name] = value(document[name])
        return json.dumps(document).encode()

    return change


GARBLED: Final[dict[str, Callable[[bytes], bytes]]] = {
    "otherAmount": _changed(amount=lambda n: n + 1, amount_received=lambda n: n + 1, amount_total=lambda n: n + 1),
    "otherReceived": _changed(amount_received=lambda n: n + 1),
    "otherCurrency": _changed(currency=lambda _: "usd"),
    "otherReference": _changed(metadata=lambda names: names | {"merchantReference": "another order"}),
    "otherKey": _changed(metadata=lambda names: names | {"pspKey": "another key"}),
    "otherId": _changed(id=lambda _: "pi_of_somebody_else"),
    "otherIntent": _changed(payment_intent=lambda _: "pi_of_somebody_else"),
    "unknownStatus": _changed(status=lambda _: "settled"),
    "failed": _changed(status=lambda _: "failed"),
    "canceled": _changed(status=lambda _: "canceled"),
    "malformed": lambda body: b"<html>" + body,
    "truncated": lambda body: body[: len(body) // 2],
    "deep": lambda _: b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "list": lambda body: b"[" + body + b"]",
    "huge": lambda body: body + b" " * (2 << 20),
}


@dataclass(slots=True)
class Faults:
    """What the next calls meet. Safe to use from any thread."""

    _next: list[tuple[str, str]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    garble: Callable[[str, Answer], Answer] | None = None
    """Changes every answer of an operation, after it was kept under its key."""
    proxy: Answer = (400, b"<h1>no</h1>")
    """What kind `proxy` says: the page of somebody in between."""

    def add(self, kind: str, *, on: str = "charge", times: int = 1) -> None:
        """Let the next *times* calls of operation *on* meet *kind*."""
        assert kind in BEFORE | AFTER | GARBLED.keys(), kind
        with self._lock:
            self._next += [(on, kind)] * times

    def take(self, operation: str) -> str | None:
        """What the call that just came meets."""
        with self._lock:
            at = next((n for n, (on, _) in enumerate(self._next) if on == operation), None)
            return None if at is None else self._next.pop(at)[1]

    def heal(self) -> None:
        """All is well."""
        with self._lock:
            self._next.clear()
        self.garble, self.proxy = None, (400, b"<h1>no</h1>")
