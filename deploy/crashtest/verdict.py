"""What a run proved: whether it was a run at all, what it broke, and how sure a zero makes us."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any, Final

from deploy.crashtest import figures
from deploy.crashtest.answer_rules import answers_as_promised
from deploy.crashtest.checker import check
from deploy.crashtest.evidence import Evidence, story
from deploy.crashtest.history import FOREIGN_POLL
from deploy.crashtest.injector import Struck
from deploy.crashtest.records import UNSETTLED, Violation

CLEAN, BROKEN, INVALID = 0, 1, 2
"""Exit codes."""
LOAD_FLOOR: Final = 0.8
"""Share of the orders asked for that must have come and been accepted: shoppers come at their own pace, so this is the
load; how fast they were served is told beside it."""
FAULTS_A_MINUTE: Final = 12
KINDS_FLOOR: Final = 6
HIT_FLOOR: Final = 0.8
FOREIGN_FLOOR: Final = 0.01
"""Share of the orders that a stranger must have named, a fifth of those that are asked for: what nobody tries holds."""
"""A run below its floors proves nothing."""
SHOWN: Final = 500
"""Violations a report lists; a run that broke more is told by their count."""
STORIES: Final = 10
"""Of these with their order's whole story; the records hold the rest."""


@dataclass(frozen=True, slots=True)
class Run:
    """How a run went, apart from its records.

    *faults*: those that reached something. *rest_s*: from the last fault's end to the last order's; None: never.
    """

    seed: int
    seconds: float
    rate: float
    faults: list[Struck]
    rest_s: float | None
    trouble: list[Violation]
    """Broken promises that were seen while it ran: a part that did not come back."""
    met: dict[str, float]
    """What the crowd counted itself: held back, gave up, sent home."""
    scanned_mib: float = 0.0
    """What was looked through for its cards."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The one report of a run."""

    document: dict[str, Any]
    exit_code: int


def judge(run: Run, evidence: Evidence) -> Verdict:
    """Everything there is to say about *run*."""
    records = evidence.records
    violations = [*run.trouble, *check(records), *answers_as_promised(evidence.exchanges)]
    ends = Counter(
        order.state if order.failure is None else f"failed: {order.failure}" for order in records.database.orders
    )
    orders, families = len(records.database.orders), Counter(fault.family for fault in run.faults)
    foreign = sum(one.what == FOREIGN_POLL and one.status is not None for one in evidence.exchanges)
    below = _below_floor(run, orders, foreign)
    document = {
        "seed": run.seed,
        "seconds": run.seconds,
        "orders": orders,
        "ordersPerSecond": round(orders / run.seconds, 1),
        "acceptedPerSecond": round(figures.pace(evidence.exchanges, run.seconds), 1),
        "ends": dict(ends.most_common()),
        "answersLostAfterCommit": figures.lost_answers(evidence.exchanges),
        "calls": _answers(evidence),
        "faults": dict(families.most_common()),
        "faultsTotal": len(run.faults),
        "kills": sum(fault.kills for fault in run.faults),
        "hitWorkInFlight": round(_hit(run), 3),
        "recovery": {
            "killedWorkerToRunningStepS": asdict(figures.taken_over(records.database.events, run.faults)),
            "lostAnswerToTruthS": asdict(figures.doubt_ended(records.database.events)),
            "postgresBackToNext202S": asdict(figures.accepted_again(evidence.exchanges, run.faults)),
            "faultsOverToAllTerminalS": run.rest_s,
        },
        "openMoney": sum(1 for one in records.database.attempts if one.outcome in UNSETTLED),
        "namedByAStranger": foreign,
        "crowd": run.met,
        "scannedMiB": run.scanned_mib,
        "violationsTotal": dict(Counter(one.invariant for one in violations)),
        "violations": [
            {"invariant": one.invariant, "about": one.about, "seen": one.seen, "story": _story(evidence, one, number)}
            for number, one in enumerate(violations[:SHOWN])
        ],
        "bound": None if violations or not orders else round(3 / orders, 6),
        "invalid": below,
    }
    return Verdict(document, BROKEN if violations else INVALID if below else CLEAN)


def _below_floor(run: Run, orders: int, foreign: int) -> list[str]:
    wanted, faults = LOAD_FLOOR * run.rate, int(FAULTS_A_MINUTE * run.seconds / 60)
    kinds = len({fault.family for fault in run.faults})
    checks = {
        f"{orders / run.seconds:.1f} orders a second, floor {wanted:g}": orders / run.seconds >= wanted,
        f"{len(run.faults)} faults, floor {faults}": len(run.faults) >= faults,
        f"{kinds} classes of faults, floor {KINDS_FLOOR}": kinds >= KINDS_FLOOR,
        f"{foreign} orders named by a stranger, floor {FOREIGN_FLOOR:.0%}": foreign >= FOREIGN_FLOOR * orders,
        f"{_hit(run):.0%} of the faults hit work in flight, floor {HIT_FLOOR:.0%}": _hit(run) >= HIT_FLOOR,
    }
    return [told for told, holds in checks.items() if not holds]


def _hit(run: Run) -> float:
    return sum(fault.hit for fault in run.faults) / len(run.faults) if run.faults else 0.0


def _answers(evidence: Evidence) -> dict[str, int]:
    counted = Counter(f"{one.what} {one.status or one.said.get('error', 'unanswered')}" for one in evidence.exchanges)
    return dict(sorted(counted.items()))


def _story(evidence: Evidence, violation: Violation, number: int) -> list[str]:
    return story(evidence.records, violation.about) if number < STORIES else []
