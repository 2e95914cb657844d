"""Times every call on the wire, beneath the client: what it says again is counted again."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping
from typing import Final

import httpx

from deploy.load.latencies import Calls

KINDS: Final = (
    ("/offer/checkout", "submit"),
    ("/status", "poll"),
    ("/offer/bundles", "offer"),
    ("/methods/add", "keep"),
    ("/return", "return"),
)
"""By how a path ends."""
OTHER: Final = "page"
"""The PSP's own page, whose address is its own matter."""


class Timed(httpx.AsyncBaseTransport):
    """Hands calls on and notes how long each took until its answer was there in full."""

    def __init__(self, below: httpx.AsyncBaseTransport) -> None:
        self._below = below
        self.calls: defaultdict[str, Calls] = defaultdict(Calls)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The answer of the transport below, read."""
        started, code = time.monotonic(), "cancelled"
        try:
            answer = await self._below.handle_async_request(request)
            await answer.aread()
            code = str(answer.status_code)
        except httpx.RequestError as error:
            code = type(error).__name__
            raise
        finally:
            self.calls[_kind(request.url.path)].note(1_000 * (time.monotonic() - started), code)
        return answer

    async def aclose(self) -> None:
        """Let go of the connections."""
        await self._below.aclose()

    def documents(self, seconds: float) -> Mapping[str, object]:
        """What is to be reported of each kind of call."""
        return {kind: calls.document(seconds) for kind, calls in sorted(self.calls.items())}


def _kind(path: str) -> str:
    return next((kind for end, kind in KINDS if path.endswith(end)), OTHER)
