"""Idempotency keys as Stripe documents them: the first answer is repeated, whatever it was, a 500 included.

A key used with other parameters is 400 idempotency_error, one whose first call still runs 409. What was refused before
the call began (parameters that do not fit, pacing, credentials) is not kept.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from tests.support.stripe_fake.errors import Refused

Answer = tuple[int, bytes]


@dataclass(slots=True)
class Keys:
    """The keys of one account."""

    _used: dict[str, tuple[str, Answer | None]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, key: str, request: str) -> Answer | None:
        """The first answer to *key*, or None if this call is the first; raises Refused."""
        with self._lock:
            known = self._used.get(key)
            if known is None:
                self._used[key] = (request, None)
                return None
        first, answer = known
        if answer is None:
            raise Refused(409, "idempotency_error", "idempotency_key_in_use")
        if first != request:
            raise Refused(400, "idempotency_error")
        return answer

    def keep(self, key: str, answer: Answer) -> None:
        """Remember what the call of *key* was answered."""
        with self._lock:
            self._used[key] = (self._used[key][0], answer)

    def let_go(self, key: str) -> None:
        """The call of *key* never began."""
        with self._lock:
            self._used.pop(key, None)

    def forget(self) -> None:
        """Their day is over."""
        with self._lock:
            self._used.clear()
