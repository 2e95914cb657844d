"""What both ways of carrying a conversation share: how a call is put to httpx, and what is made of what comes back."""

from __future__ import annotations

import json
from typing import Any, Final

import httpx

from shared.client.turns import LEAST_S, Call, Heard, Lost

PREFIX: Final = "/api/v1"
CONNECT_S: Final = 5.0
READ_S: Final = 20.0
"""The API answers an order within 2 s or says 503; a loaded machine, or a proxy before it, may take longer."""
NOT_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


def request_of(call: Call, base_url: str, headers: dict[str, str]) -> dict[str, Any]:
    """*call* as the arguments of httpx's `request`; nothing in it is waited for longer than its caller has time."""
    left = max(LEAST_S, call.within_s)
    usual = min(READ_S, left)
    prefer = {"Prefer": f"wait={int(call.hold_s)}"} if call.hold_s else {}  # RFC 7240
    timeout = httpx.Timeout(usual, connect=min(CONNECT_S, left), read=min(READ_S + call.hold_s, left))
    return {
        "method": call.method,
        "url": f"{base_url}{PREFIX}{call.path}",
        "params": call.params or None,
        "headers": {**headers, **call.headers, **prefer},
        "content": call.content.raw if call.content else None,
        "timeout": timeout,
        "follow_redirects": False,  # The key goes to this address and no other.
    }


def heard_of(response: httpx.Response) -> Heard:
    """A whole answer."""
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Heard(response.status_code, headers, _document(response))


def lost_of(error: httpx.RequestError) -> Lost:
    """An answer that did not come; of *error* only its type is kept, for it knows what was sent."""
    return Lost(type(error).__name__, was_sent=not isinstance(error, NOT_SENT))


def _document(response: httpx.Response) -> dict[str, Any]:
    try:
        document = json.loads(response.content)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
