"""What the next calls meet: silence, cut connections, refusals, answers about something else, answers without end."""

from __future__ import annotations

import json
import socket
import threading
from collections import defaultdict, deque
from typing import Any, Final

from tests.support.adyen_fake.till import Answered, error

BEFORE: Final = frozenset({"hang", "drop", "500", "401", "403", "429", "409", "422"})
"""Kinds that come before anything is done."""
REFUSALS: Final[dict[str, Answered]] = {
    "401": error(401, "000", "HTTP Status Response - Unauthorized", "security"),
    "403": error(403, "010", "Not allowed", "security"),
    "429": error(429, "029", "Too many requests", "internal"),
    "409": error(409, "704", "request already processed or in progress"),
    "422": error(422, "704", "request already processed or in progress"),
    "500": error(500, "905", "Payment details are not supported", "internal"),
    "500 after": error(500, "900", "Unable to Process", "internal"),
}
AFTER: Final = frozenset(
    {"hang after", "drop after", "500 after", "otherAmount", "otherCurrency", "otherReference", "malformed", "huge"}
) | {"dribble", "page", "list", "deep"}
"""Kinds that come after it was done: only the answer is amiss."""
HUGE: Final = b'{"resultCode": "' + b"x" * (2 << 20) + b'"}'


class Troubles:
    """First come, first served, per operation."""

    def __init__(self) -> None:
        self.hang_s = 30.0
        self.over = threading.Event()
        self._next: dict[str, deque[str]] = defaultdict(deque)

    def add(self, kind: str, *, on: str = "payments", times: int = 1) -> None:
        """The next *times* calls of *on* meet *kind*."""
        assert kind in BEFORE | AFTER, kind
        self._next[on].extend([kind] * times)

    def take(self, operation: str) -> str | None:
        """What this call meets."""
        return self._next[operation].popleft() if self._next[operation] else None

    def heal(self) -> None:
        """No call meets anything."""
        self._next.clear()

    def spoilt(self, kind: str, document: dict[str, Any]) -> bytes:
        """The answer *document* as *kind* makes it."""
        match kind:
            case "otherAmount":
                return _written(document, amount=_amount(document) | {"value": 1})
            case "otherCurrency":
                return _written(document, amount=_amount(document) | {"currency": "CHF"})
            case "otherReference":
                return _written(document, merchantReference="another order", paymentPspReference="ANOTHER")
            case "malformed":
                return _written(document)[:-20]
            case "huge":
                return HUGE
            case "page":
                return b"<h1>Welcome to the hotel's network</h1>"
            case "list":
                return b"[1]"
            case _:
                return b'{"a":' * 5_000

    def dribble(self, conn: socket.socket, body: bytes) -> None:
        """Send *body* so slowly that nobody waits for it."""
        for byte in body:
            if self.over.wait(0.05):
                return
            conn.sendall(bytes([byte]))


def refusal(kind: str, asked: dict[str, Any]) -> Answered:
    """What a trouble of *kind* says to what was *asked*: it quotes the card, which nobody may repeat."""
    status, document = REFUSALS.get(kind, (0, {}))
    number = asked.get("paymentMethod", {}).get("number")
    return status, document if number is None else document | {"message": f"{document.get('message')}: {number}"}


def _amount(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document.get("amount", {"currency": "EUR", "value": 1499})
    return found


def _written(document: dict[str, Any], **changes: Any) -> bytes:
    return json.dumps(document | changes).encode()
