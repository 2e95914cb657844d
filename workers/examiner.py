"""Examines the installation every minute and raises an alarm for whatever is not as promised.

Of any number of upkeep processes one examines at a time: it holds an advisory lock on a connection of its own, which
PostgreSQL lets go of if that process dies. Each goes on with the books where its last one stopped
(workers/books_in_turn.py). What is found is logged. What of it is only news about money is settled
(workers/reconcile.py); the rest is not mended here: it needs somebody who can ask the PSP.
"""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta
from typing import Final

import structlog
from sqlalchemy import text

from shared.doctor.examination import Scope, examine
from shared.doctor.findings import Report, Severity
from shared.store.engine import statements
from workers import reconcile
from workers.books_in_turn import BooksInTurn
from workers.runtime import Runtime
from workers.snapshot import snapshot

log = structlog.get_logger(__name__)

PERIOD_S: Final = 60.0
SCOPE: Final = Scope(timedelta(minutes=10), budget_s=40.0, statement_s=10.0)
"""What each examination reads of finished orders and PSPs' books: every order is seen ten times, cheaply; `c2a doctor`
reads further back. It ends, and what is beside orders is settled, before the next one begins."""
BESIDE_S: Final = 15.0
"""For settling what is beside orders; time of its own, whatever the books took."""
LOCK: Final = 0xC2AD
"""Any number nobody else takes (tests/unit/test_lock_numbers.py)."""


def examine_alone(run: Runtime, scope: Scope = SCOPE, turn: BooksInTurn | None = None) -> Report | None:
    """Examine, log and settle, unless somebody else does at this moment (then None).

    *turn*: how far this process came with the books before.
    """
    with statements(run.engine) as guard:
        if not guard.execute(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": LOCK}).scalar_one():
            snapshot().found([])  # Whoever examines now tells.
            return None
        try:
            return _examine(run, scope, turn or BooksInTurn())
        finally:
            guard.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": LOCK})


def _examine(run: Runtime, scope: Scope, turn: BooksInTurn) -> Report:
    started = time.monotonic()
    report = examine(run.engine, run.keyring, run.psp_for, replace(scope, after=turn.after))
    alarming = [one for one in turn.judged(report, scope) if one.check.severity is not Severity.NOTE]
    snapshot().found((one.check.severity, one.check.name) for one in alarming)  # Whatever comes of settling it.
    for one in alarming:
        log.error(
            "doctor.found",
            severity=one.check.severity,
            check=one.check.name,
            tenant=str(one.tenant_id or "every"),
            subject=one.subject,
            detail=one.detail,
        )
        if one.news is not None:
            reconcile.settle_found(run, *one.news)
    reconcile.settle_beside(run, scope.tenant_id, ends_at=time.monotonic() + BESIDE_S)
    breaks = sum(one.check.severity is Severity.BREAK for one in alarming)
    took_ms = round(1000 * (time.monotonic() - started))
    log.info("doctor.examined", breaks=breaks, alarms=len(alarming) - breaks, took_ms=took_ms)
    return report
