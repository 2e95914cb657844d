"""Notices that a PSP is back after it took no request or gave no answer, and makes those who wait for it due.

Each of them would come back by its own pause, up to a minute or five; the first good answer is the news they wait for.
At most a batch is made due at a time, and the rescuer rings for no more than its queues take: a PSP that has just come
back is not met by all its waiters at once. A process knows what it saw itself, which is enough: every process of the
engine room soon meets the PSP.
"""

from __future__ import annotations

import threading
from collections import Counter
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy import Engine

from shared.domain.outcomes import LookUpOutcome, NotSent, PaymentOutcome, Unanswered
from shared.store import overdue
from shared.store.attempts import Attempt
from shared.store.engine import statements

log = structlog.get_logger(__name__)

BATCH: Final = 200
"""Waiters made due at once; the next good answer after another bad one brings the next."""

AWAY_AFTER: Final = 5
"""Calls in a row without an answer that make an outage; one that got lost is looked up by its own pause."""


class Outages:
    """What one process heard of each account lately. Safe to use from any thread."""

    def __init__(self) -> None:
        self._unheard: Counter[tuple[UUID, str]] = Counter()
        self._lock = threading.Lock()

    def heard(self, engine: Engine, attempt: Attempt, outcome: PaymentOutcome | LookUpOutcome) -> None:
        """Note what came of a call just now; if its PSP is back, make its waiters due."""
        account = attempt.tenant_id, attempt.provider
        with self._lock:
            if isinstance(outcome, NotSent | Unanswered):
                self._unheard[account] += 1
                return
            was_away = self._unheard.pop(account, 0) >= AWAY_AFTER
        if was_away:
            with statements(engine) as conn:
                waiters = overdue.make_due(conn, *account, limit=BATCH)
            log.info("psp.back", provider=attempt.provider, tenant=str(attempt.tenant_id), waiters=waiters)
