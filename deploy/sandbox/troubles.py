"""Carries a trouble out on the wire: the wrong status, the silence, the cut, the lie.

By now the ledger is written or not, as the kind of trouble says; here only the caller is treated badly.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, Final

from aiohttp import web

from deploy.sandbox.cards import Trouble

NOTHING_WRITTEN: Final = frozenset(
    {Trouble.HTTP_500, Trouble.HTTP_429, Trouble.HTTP_409, Trouble.DROP, Trouble.TIMEOUT_BEFORE}
)
_STATUS: Final = {
    Trouble.HTTP_500: (500, "internal_error"),
    Trouble.HTTP_500_AFTER: (500, "internal_error"),
    Trouble.HTTP_429: (429, "too_many_requests"),
    Trouble.HTTP_409: (409, "in_progress"),
}
_LIES: Final[dict[Trouble, Callable[[dict[str, Any]], dict[str, Any]]]] = {
    Trouble.OTHER_AMOUNT: lambda charge: {"amountMinor": charge["amountMinor"] + 1},
    Trouble.OTHER_CURRENCY: lambda _: {"currency": "XTS"},
    Trouble.OTHER_REFERENCE: lambda charge: {"merchantReference": f"{charge['merchantReference']}-other"},
}
HUGE_BYTES: Final = 2 << 20


def refusal(status: int, code: str, message: str = "", **more: object) -> web.Response:
    """An error as every /v1 route tells it."""
    headers = {"Retry-After": "1"} if status in (429, 503) else {}
    return web.json_response(
        {"error": {"code": code, "message": message or code}, **more}, status=status, headers=headers
    )


async def answer(
    request: web.Request, body: bytes, trouble: Trouble | None, *, hang_s: float, stopping: asyncio.Event
) -> web.StreamResponse:
    """The answer *body*, as *trouble* lets it arrive."""
    if trouble in _STATUS:
        return refusal(*_STATUS[trouble])
    if trouble in (Trouble.TIMEOUT_BEFORE, Trouble.TIMEOUT_AFTER):
        await _sit(stopping, hang_s)
        return cut(request)
    if trouble in (Trouble.DROP, Trouble.DROP_AFTER):
        return cut(request)
    if trouble == Trouble.DRIBBLE:
        return await _dribble(request, body, hang_s, stopping)
    return web.Response(body=_told(body, trouble), content_type="application/json")


def cut(request: web.Request) -> web.Response:
    """Reset the connection; the response returned goes nowhere."""
    if request.transport:
        request.transport.abort()
    return web.Response()


def _told(body: bytes, trouble: Trouble | None) -> bytes:
    if trouble == Trouble.MALFORMED:
        return body[: len(body) // 2]
    if trouble == Trouble.HUGE:
        return body.ljust(HUGE_BYTES)
    if trouble in _LIES:
        document = json.loads(body)
        return json.dumps(document | _LIES[trouble](document)).encode()
    return body


async def _dribble(request: web.Request, body: bytes, hang_s: float, stopping: asyncio.Event) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(body))})
    await response.prepare(request)
    try:
        for byte in body:
            await response.write(bytes([byte]))
            await _sit(stopping, hang_s / len(body))
    except ConnectionResetError:
        return response  # The caller had enough: that is what a dribble is for.
    await response.write_eof()
    return response


async def _sit(stopping: asyncio.Event, seconds: float) -> None:
    """Do nothing for *seconds*, unless the sandbox is told to stop."""
    try:
        await asyncio.wait_for(stopping.wait(), seconds)
    except TimeoutError:
        return
