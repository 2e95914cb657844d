"""Settles news about money that no step waits for any more.

Two kinds are left when a worker died, a PSP was late and a webhook was lost: a capture in the PSP's books that our
attempt knows nothing of (it was written off as declined or absent), and an attempt whose verdict is out although its
order was paid or ended by another one, so that nobody looks it up. A third is made by hand: money of a paid order that
somebody gave back at the PSP. A fourth only the books show: money that is still there after its return was proven. All
end in the one settle function: the money counts or goes back, or its tenant is told that it did. Whatever is due then
is rung for by the rescuer. One that cannot be settled now (a key that was retired, a PSP that answers late) is logged
and does not stand in the way of the others: it is found again.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog

from shared.domain.outcomes import Captured, Challenged, LookUpOutcome, Pending, Returned, StillHeld, Unanswered
from shared.failpoints import Failpoint, reach
from shared.give_up import let_go
from shared.settle import News, settle
from shared.store import attempts
from shared.store.attempts import Attempt
from shared.store.engine import statements
from workers.apart import apart
from workers.last_word import last_word
from workers.runtime import Runtime

log = structlog.get_logger(__name__)

ACTOR: Final = "upkeep"
BATCH: Final = 100
"""Attempts a minute whose order ended without them: it takes two faults at once to leave one."""


def settle_found(run: Runtime, attempt: Attempt, found: Captured | Returned | StillHeld) -> None:
    """Make a capture that was found in the PSP's books count, or go back, again if its return came to nothing; have the
    tenant told of one that went back there by somebody's hand."""
    with _on_its_own(attempt):
        _settle(run, attempt, found)


def settle_beside(run: Runtime, tenant_id: UUID | None, *, ends_at: float) -> None:
    """Ask about attempts whose order was paid or ended without their verdict, until the monotonic time *ends_at*."""
    with statements(run.engine) as conn:
        beside = attempts.beside(conn, tenant_id, limit=BATCH)
    for attempt, since in beside:
        if time.monotonic() > ends_at:
            log.warning("reconcile.time_up", attempts=len(beside))
            return
        with _on_its_own(attempt):
            _ask_about(run, attempt, since)


def _on_its_own(attempt: Attempt) -> AbstractContextManager[None]:
    return apart("payment.not_reconciled", tracking_number=attempt.tracking_number, attempt=attempt.attempt_no)


def _ask_about(run: Runtime, attempt: Attempt, since: timedelta) -> None:
    psp = run.psp_for(run.account_at(attempt.tenant_id, attempt.provider))
    surely = timedelta(seconds=run.settings.lease_limit_s) + psp.capabilities.longest_processing
    if since <= surely:  # Somebody may still be at it, and will settle it; "no such charge" is no proof yet.
        return
    answer = psp.look_up(attempt.query) if psp.capabilities.looks_up else last_word(attempt)
    if isinstance(answer, Unanswered) and not psp.capabilities.looks_up:
        return  # Its webhook tells.
    _settle(run, attempt, answer)


def _settle(run: Runtime, attempt: Attempt, outcome: LookUpOutcome) -> None:
    now = None
    with run.engine.begin() as conn:
        if isinstance(outcome, Challenged | Pending):
            let_go(conn, attempt, outcome)
        else:
            now = settle(conn, News(attempt, outcome, actor=ACTOR), run.terms)
        reach(Failpoint.RECONCILE_BEFORE_COMMIT)
    reach(Failpoint.RECONCILE_AFTER_COMMIT)
    if now is not None:
        run.forget_spent_card(now)
    log.warning("payment.reconciled", tracking_number=attempt.tracking_number, outcome=type(outcome).__name__)
