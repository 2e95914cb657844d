"""What a poller prefers to an answer at once: to wait for news (RFC 7240), or a stream of it (WHATWG HTML, 9.2)."""

from __future__ import annotations

import re
from typing import Final

from flask import request

from api.envelope import CLIENT_OUTPUT, JSON

LONGEST_WAIT_S: Final = 30
"""Contract section 3: N up to 30; who prefers more is held for so long, and told so."""
EVENTS: Final = "text/event-stream"

_WAIT: Final = re.compile(r'(?:^|,)\s*wait\s*=\s*"?(\d{1,9})"?\s*(?=[,;]|$)', re.IGNORECASE)


def wait_s(prefer: str | None) -> int:
    """How many seconds whoever sends this `Prefer` would wait; 0: not at all, or it says nothing we know."""
    found = _WAIT.search(prefer) if prefer else None
    return min(LONGEST_WAIT_S, int(found[1])) if found else 0


def wants_events() -> bool:
    """Whether the caller would rather have a stream than one answer."""
    return request.accept_mimetypes.best_match([JSON, CLIENT_OUTPUT, EVENTS]) == EVENTS
