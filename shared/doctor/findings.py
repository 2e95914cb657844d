"""What an examination looks for and what it found, as data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

from shared.domain.outcomes import Captured, Returned, StillHeld
from shared.store.attempts import Attempt
from shared.store.open_money import OpenMoney

SHOWN: Final = 100
"""Findings of one check that are shown; whoever has more has one cause to look for, not a hundred."""

AccountName = tuple[UUID, str]
"""A tenant, and the provider of its account."""


class Severity(StrEnum):
    """How bad a finding is."""

    BREAK = "break"  # A promise of the system does not hold.
    ALARM = "alarm"  # Nothing is broken yet, but it will not mend itself, or could not be looked at.
    NOTE = "note"  # Nothing is wrong; whoever reads that all holds should know what that rests on.


@dataclass(frozen=True, slots=True)
class Check:
    """One promise, and what to do when it does not hold.

    *statement* finds what breaks it, as rows of (tenant_id, subject, detail); None for what only a PSP can tell.
    It may use :since (a tracking number) and :moment, where the examined window begins.
    """

    name: str
    promise: str
    severity: Severity
    next_step: str
    statement: str | None = None


NOT_EXAMINED: Final = Check(
    name="promise-not-examined",
    promise="Every promise can be examined.",
    severity=Severity.ALARM,
    next_step="Until it can be nobody knows whether it holds. QueryCanceled: its statement took too long; run `c2a "
    "doctor` with a shorter --window or for one --tenant, and have PostgreSQL ANALYZE the tables. UndefinedTable or "
    "UndefinedColumn: `c2a db migrate` has not been run. Anything else is a bug: its place is in the log.",
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as promised. *subject*: a tracking number, a key, a PSP reference or a check's name.

    *tenant_id* None: it is about every tenant.
    """

    check: Check
    tenant_id: UUID | None
    subject: str
    detail: str
    news: tuple[Attempt, Captured | Returned | StillHeld] | None = None
    """A capture, a return of one, or a return that came to nothing, of which nobody told us, and the attempt it was
    made under: for whoever settles news about money."""


@dataclass(frozen=True, slots=True)
class Report:
    """What one examination found."""

    checks: tuple[Check, ...]
    findings: tuple[Finding, ...]
    open_money: tuple[OpenMoney, ...] = ()
    """What may be out now, the oldest first: no break while somebody looks after it, and empty when all is at rest."""
    reached: tuple[AccountName, ...] = ()
    """Whose books were come to before the time was up, in this order."""

    def of(self, check: Check) -> list[Finding]:
        """The findings of one check."""
        return [one for one in self.findings if one.check is check]

    @property
    def unknown(self) -> frozenset[str]:
        """The names of what could not be examined."""
        return frozenset(one.subject for one in self.of(NOT_EXAMINED))

    def has(self, severity: Severity) -> bool:
        """Whether anything this bad was found."""
        return any(one.check.severity is severity for one in self.findings)
