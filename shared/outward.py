"""Calls a URL that a tenant named, and nothing else that somebody would like us to call.

What was checked when the URL was saved may be another's by now: a name is looked up again for each connection, all
its addresses are judged, and the connection goes to the very address that was judged, so no second look-up can turn
it elsewhere (DNS rebinding). TLS still asks for the name. Redirects are answers like any other and are never
followed; proxies of the environment are not used; the whole call ends by its deadline (shared/psp/http.py).
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from functools import partial

from shared.config import Mode
from shared.domain.outcomes import NotSent, Unanswered
from shared.psp.http import Answer, Http, Patience
from shared.urls import Resolve, UnsafeUrl, host_of, may_call


class Outward:
    """The way out of one process; safe to share between its threads."""

    def __init__(self, mode: Mode, patience: Patience | None = None, resolve: Resolve = socket.getaddrinfo) -> None:
        self._mode = mode
        self._http = Http(patience, admits=partial(may_call, mode=mode), resolve=resolve)

    def post(self, url: str, *, headers: Mapping[str, str], body: bytes) -> Answer | NotSent | Unanswered:
        """Send *body*; NotSent if *url* must not be called or nobody could be reached, whatever it was when saved."""
        try:
            host_of(url, self._mode)
        except UnsafeUrl as error:
            return NotSent(str(error))
        return self._http.call("POST", url, headers=headers, body=body)

    def close(self) -> None:
        """Close every connection."""
        self._http.close()
