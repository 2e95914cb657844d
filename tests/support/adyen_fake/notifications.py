"""Tells merchants what happened: one signed item a body, repeated until it is acknowledged, by a thread of its own."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import queue
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

from tests.support.adyen_fake.books import Merchant

TRIES: Final = 5
PAUSE_S: Final = 0.1
SIGNED: Final = (
    "pspReference",
    "originalReference",
    "merchantAccountCode",
    "merchantReference",
    "value",
    "currency",
    "eventCode",
    "success",
)
"""The fields under the signature, in their order (docs.adyen.com, Verify HMAC signatures)."""


def body_of(merchant: Merchant, event: Mapping[str, Any], extra: Mapping[str, str] | None = None) -> bytes:
    """A notification of *event* as it is sent. *extra*: more of additionalData, which nothing signs."""
    item: dict[str, Any] = {
        "eventDate": datetime.now(UTC).isoformat(timespec="seconds"),
        "merchantAccountCode": merchant.account,
        "paymentMethod": "visa",
        "reason": "",
        "success": "true",
        **event,
    }
    item["additionalData"] = {"hmacSignature": signature_of(item, merchant.hmac_key), **(extra or {})}
    return json.dumps({"live": "false", "notificationItems": [{"NotificationRequestItem": item}]}).encode()


def signature_of(item: Mapping[str, Any], hmac_key: str) -> str:
    """The base64 HMAC-SHA256 of an item under a key in hex."""
    flat = {**item, **item.get("amount", {})}
    text = ":".join(str(flat.get(name, "")) for name in SIGNED)
    return base64.b64encode(hmac.digest(bytes.fromhex(hmac_key), text.encode(), hashlib.sha256)).decode()


class Postman:
    """Delivers notifications one after the other."""

    def __init__(self) -> None:
        self.acknowledged: list[bytes] = []
        """The bodies of answers to what was taken."""
        self.lost: list[bytes] = []
        """What was kept back while *loses* was set."""
        self.loses = False
        self._waiting: queue.Queue[tuple[str, bytes] | None] = queue.Queue()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def send(self, merchant: Merchant, body: bytes) -> None:
        """Have *body* brought to its merchant, if that has an address."""
        if self.loses:
            self.lost.append(body)
        elif merchant.webhook_url is not None:
            self._waiting.put((merchant.webhook_url, body))

    def close(self) -> None:
        """Bring nothing more."""
        self._over.set()
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (letter := self._waiting.get()) is not None:
            for _ in range(TRIES):
                if self._is_taken(*letter) or self._over.wait(PAUSE_S):
                    break

    def _is_taken(self, url: str, body: bytes) -> bool:
        parts = urlsplit(url)
        conn = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=5)
        try:
            conn.request("POST", parts.path, body, {"Content-Type": "application/json"})
            answer = conn.getresponse()
            said = answer.read()
        except OSError:
            return False  # Its receiver is away: tried again.
        finally:
            conn.close()
        if 200 <= answer.status < 300:
            self.acknowledged.append(said)
        return 200 <= answer.status < 300
