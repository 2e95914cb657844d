"""Whose books are compared next, and whose have waited too long for it.

An installation may have more accounts than one examination has time for. So each goes on where the last one of its
process stopped, and an account that it did not come to is no alarm as long as the next comparison still reads all that
was charged since the last one: the examined window is longer than that wait.
"""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from shared.doctor.books import NOT_REACHED
from shared.doctor.examination import Scope
from shared.doctor.findings import AccountName, Finding, Report


class BooksInTurn:
    """What one process knows from examination to examination; every account counts as reached when it is first seen."""

    def __init__(self) -> None:
        self.after: AccountName | None = None
        """Whose books were compared last."""
        self._reached_at: dict[tuple[UUID | None, str], float] = {}

    def judged(self, report: Report, scope: Scope) -> Iterator[Finding]:
        """What of *report* is to be told: all of it, but the accounts that are still to be come to in good time."""
        now = scope.clock()
        waiting = {(one.tenant_id, one.subject) for one in report.of(NOT_REACHED)}
        before = self._reached_at
        self._reached_at = {name: before.get(name, now) for name in waiting}
        self._reached_at.update((name, now) for name in report.reached)
        self.after = report.reached[-1] if report.reached else self.after
        longest_s = (scope.window - scope.news_within).total_seconds()
        for one in report.findings:
            if one.check is not NOT_REACHED or now - self._reached_at[one.tenant_id, one.subject] > longest_s:
                yield one
