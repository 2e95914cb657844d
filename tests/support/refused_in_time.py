"""How soon a door says 503 whose database does not answer (contract section 1: within 2 s)."""

from __future__ import annotations

import time
from typing import Final

from tests.support import lateness
from tests.support.crash_case import Case
from tests.support.wire import Document

WITHIN_S: Final = 2.5
"""A silent database is given 1.5 s; a door that then asks it once more takes 3."""
ROUNDS: Final = 3
"""Judged by the best of them: a disk that stands still holds up one, and a door that asks twice is late in each."""


def is_in_time(case: Case, document: Document) -> bool:
    """Whether *document* is refused as the contract says, and as soon."""
    return any(timed(case, document) < WITHIN_S for _ in range(ROUNDS))


def timed(case: Case, document: Document) -> float:
    """Submit what must be refused as the contract says; the seconds it took, this machine's lateness off."""
    with lateness.watched() as late:
        started = time.monotonic()
        status, answer, headers = case.submit(document)
        took = time.monotonic() - started
    assert (status, (answer or {})["status"]["messageCode"]) == (503, "SERVICE_UNAVAILABLE")
    assert int(headers["Retry-After"]) >= 1
    return took - late.seconds
