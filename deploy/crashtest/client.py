"""One call of a storefront that does not give up: the same call again, under the same key, until an answer comes.

503 and 429 are waited out as their Retry-After says; a broken connection is tried again after a second. Both go into
the history, as does every answer.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from deploy.crashtest.history import History

TIMEOUT_S: Final = 12.0
"""No answer takes longer (contract: 503 within 2 s), but a loaded machine may."""
PATIENCE_S: Final = 180.0
"""How long one call is tried again: three times what a stack may need to come back (faults over -> terminal: 60 s)."""
PAUSE_S: Final = 1.0
AT_ONCE: Final = 24
"""Calls in flight at a time: half as many again as two API processes have database connections, so that they are busy
and their return does not meet a flood. A call that waits for its turn is not sent yet, and not in the history."""
PUT_OFF: Final = frozenset({429, 503})
TROUBLE: Final = (aiohttp.ClientError, TimeoutError)


class GaveUp(RuntimeError):
    """A call got no answer for as long as its client had patience."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. *version*: from its ETag."""

    status: int
    document: dict[str, Any]
    version: int | None = None
    headers: dict[str, str] = field(default_factory=dict)


class Client:
    """Calls on one session, each noted before it is sent and after it is answered."""

    def __init__(
        self, http: aiohttp.ClientSession, history: History, *, base_url: str, headers: dict[str, str]
    ) -> None:
        self._http, self._history = http, history
        self._base_url, self._headers = base_url, headers
        self._turn = asyncio.Semaphore(AT_ONCE)
        self.waiting = 0
        """Calls sent and not answered at this moment."""

    async def until_answered(self, what: str, method: str, url: str, *, body: Any = None, **facts: Any) -> Answer:
        """The first answer that is neither 503 nor 429 nor lost. Raises GaveUp."""
        ends_at = time.monotonic() + PATIENCE_S
        while time.monotonic() < ends_at:
            answer = await self.once(what, method, url, body=body, **facts)
            if answer is not None and answer.status not in PUT_OFF:
                return answer
            await asyncio.sleep(_pause(answer))
        raise GaveUp(f"{what}: no answer for {PATIENCE_S:g} s")

    async def once(self, what: str, method: str, url: str, *, body: Any = None, **facts: Any) -> Answer | None:
        """One call; None if no answer came. *facts* go into the history, the body does not."""
        async with self._turn:
            number = self._history.sent(what, **facts)
            self.waiting += 1
            try:
                answer = await self._exchange(method, url, body)
            except TROUBLE as error:
                self._history.heard(number, error=type(error).__name__)
                return None
            finally:
                self.waiting -= 1
            self._history.heard(number, **_noted(answer))
            return answer

    async def _exchange(self, method: str, url: str, body: Any) -> Answer:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        form = {"data": body} if is_form(body) else {"json": body}
        headers = self._headers if url.startswith(self._base_url) else {}  # The PSP's page is no place for our key.
        sending = self._http.request(method, url, headers=headers, timeout=timeout, allow_redirects=False, **form)
        async with sending as answer:
            is_json = "json" in answer.content_type
            document = await answer.json(content_type=None) if is_json else {}
            tag = answer.headers.get("ETag", "")
            return Answer(answer.status, document, _version(tag), dict(answer.headers))


def is_form(body: Any) -> bool:
    """Whether *body* is a page's form and not a document: the PSP's page has no other buttons."""
    return isinstance(body, dict) and body.keys() == {"decision"}


def _version(tag: str) -> int | None:
    text = tag.removeprefix("W/").strip('"').partition("-")[0]
    return int(text) if text.isdigit() else None


def _pause(answer: Answer | None) -> float:
    return float(answer.headers.get("Retry-After", PAUSE_S)) if answer else PAUSE_S


def _noted(answer: Answer) -> dict[str, Any]:
    document = answer.document
    noted = {
        "status": answer.status,
        "code": document.get("status", {}).get("messageCode") if isinstance(document.get("status"), dict) else None,
        "trackingNumber": document.get("trackingNumber"),
        "version": answer.version,
        "replayed": answer.headers.get("Idempotent-Replayed"),
    }
    return {name: value for name, value in noted.items() if value is not None}
