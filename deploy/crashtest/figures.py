"""How fast a stack came back, read from the records: the faults' times, the orders' events, the clients' answers.

All clocks are one machine's: a run sends signals, so it runs where its stack runs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from typing import Final

from deploy.crashtest.history import SUBMIT, Exchange
from deploy.crashtest.injector import Struck
from deploy.crashtest.records import Event

ACCEPTED: Final = 202
WORKER_FAULTS: Final = frozenset({"worker killed", "whole worker group killed", "worker stopped past its lease"})


@dataclass(frozen=True, slots=True)
class Spread:
    """Durations of one kind, in seconds."""

    count: int
    p50: float | None
    p99: float | None
    longest: float | None


def spread(durations: Iterable[float]) -> Spread:
    """Nearest-rank percentiles; None where there is nothing to rank."""
    ranked = sorted(durations)
    if not ranked:
        return Spread(0, None, None, None)
    p50, p99 = (round(ranked[ceil(len(ranked) * share) - 1], 2) for share in (0.5, 0.99))
    return Spread(len(ranked), p50, p99, round(ranked[-1], 2))


def taken_over(events: Iterable[Event], faults: Sequence[Struck]) -> Spread:
    """From the fault that took a worker to the moment another runs the step it had claimed."""
    return spread(
        resumed - fault
        for before, event in _steps(events)
        if event.event == "payment_resumed"
        and (resumed := event.at.timestamp())
        and (fault := _last_between(faults, before.at.timestamp(), resumed)) is not None
    )


def doubt_ended(events: Iterable[Event]) -> Spread:
    """From a PSP's lost answer to the moment somebody knows: captured, declined, challenged, or proven never made."""
    return spread(
        (event.at - before.at).total_seconds()
        for before, event in _steps(events)
        if before.event == "payment_unanswered" and event.event != "payment_unanswered"
    )


def accepted_again(exchanges: Iterable[Exchange], faults: Iterable[Struck]) -> Spread:
    """From PostgreSQL's return to the next 202."""
    submits = (one for one in exchanges if one.what == SUBMIT and one.status == ACCEPTED)
    accepted = sorted(one.heard_at for one in submits if one.heard_at is not None)
    back = [fault.over_at for fault in faults if fault.kind == "postgres-killed"]
    return spread(
        at - over for over in back if (at := next((one for one in accepted if one >= over), None)) is not None
    )


def pace(exchanges: Iterable[Exchange], seconds: float) -> float:
    """Orders accepted a second, from the first submit to the last acceptance: what is accepted late counts as slow."""
    submits = [one for one in exchanges if one.what == SUBMIT]
    accepted = {one.said["trackingNumber"]: one.heard_at for one in reversed(submits) if one.status == ACCEPTED}
    if not accepted:
        return 0.0
    last = max(at for at in accepted.values() if at is not None)
    return len(accepted) / max(seconds, last - min(one.sent_at for one in submits))


def lost_answers(exchanges: Iterable[Exchange]) -> int:
    """Orders whose first 202 said that they were there already: committed, and nobody was told."""
    first: dict[str, bool] = {}
    for one in exchanges:
        if one.what == SUBMIT and one.status == ACCEPTED:
            first.setdefault(one.said["trackingNumber"], one.said.get("replayed") is not None)
    return sum(first.values())


def _steps(events: Iterable[Event]) -> Iterable[tuple[Event, Event]]:
    of_order: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        of_order[event.tracking_number].append(event)
    for told in of_order.values():
        yield from pairwise(sorted(told, key=lambda one: one.version))


def _last_between(faults: Iterable[Struck], after: float, before: float) -> float | None:
    """The last fault of a worker within a claim and its take-over."""
    times = [fault.at for fault in faults if fault.family in WORKER_FAULTS and after <= fault.at <= before]
    return max(times, default=None)
