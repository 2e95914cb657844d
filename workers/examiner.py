"""Examines the installation every minute and raises an alarm for whatever is not as promised.

Of any number of upkeep processes one examines at a time: it holds an advisory lock on a connection of its own, which
PostgreSQL lets go of if that process dies. What is found is logged. What of it is only news about money is settled
(workers/reconcile.py); the rest is not mended here: it needs somebody who can ask the PSP.
"""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Final

import structlog
from sqlalchemy import text

from shared.doctor.examination import Scope, examine
from shared.doctor.findings import Report, Severity
from shared.store.engine import statements
from workers import reconcile
from workers.runtime import Runtime
from workers.snapshot import snapshot

log = structlog.get_logger(__name__)

PERIOD_S: Final = 60.0
SCOPE: Final = Scope(timedelta(minutes=10), budget_s=50.0)
"""What each examination reads of finished orders and PSPs' books: every order is seen ten times, cheaply; `c2a doctor`
reads further back. It ends before the next one begins."""
LOCK: Final = 0xC2AD
"""Any number nobody else takes (migrations: 0xC2A)."""


def examine_alone(run: Runtime, scope: Scope = SCOPE) -> Report | None:
    """Examine, log and settle, unless somebody else does at this moment (then None)."""
    with statements(run.engine) as guard:
        if not guard.execute(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": LOCK}).scalar_one():
            snapshot().found([])  # Whoever examines now tells.
            return None
        try:
            return _examine(run, scope)
        finally:
            guard.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": LOCK})


def _examine(run: Runtime, scope: Scope) -> Report:
    started = time.monotonic()
    report = examine(run.engine, run.keyring, run.psp_for, scope)
    alarming = [one for one in report.findings if one.check.severity is not Severity.NOTE]
    for one in alarming:
        log.error(
            "doctor.found",
            severity=one.check.severity,
            check=one.check.name,
            tenant=str(one.tenant_id),
            subject=one.subject,
            detail=one.detail,
        )
        if one.news is not None:
            reconcile.settle_found(run, *one.news)
    reconcile.settle_beside(run, scope.tenant_id, ends_at=started + scope.budget_s)
    snapshot().found((one.check.severity, one.check.name) for one in alarming)
    breaks = sum(one.check.severity is Severity.BREAK for one in alarming)
    took_ms = round(1000 * (time.monotonic() - started))
    log.info("doctor.examined", breaks=breaks, alarms=len(alarming) - breaks, took_ms=took_ms)
    return report
