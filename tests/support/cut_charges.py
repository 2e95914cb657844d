"""Orders whose first PSP is cut off after each charge, with a second one that would take them (C2, C10).

Every order is worked on by two workers at once, as a message that comes twice would have it. What the first PSP did
before it was cut off differs from order to order; what must hold never does.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from shared.domain.states import OrderState
from shared.psp.port import Account, ChargeRequest
from shared.store.attempts import UNSETTLED
from tests.support.two_psps import FIRST, SECOND, TwoPsps, asking
from tests.support.wire import GOOD_CARD, fresh_card
from workers.look_up import look_up
from workers.pay import pay
from workers.runtime import Runtime

SOFT_NO: Final = "4000007700000018"
LONG_AGO: Final = timedelta(seconds=61)
"""After it no request can be on its way any more: lease limit (30 s) and the PSP's longest processing (30 s)."""


@dataclass(frozen=True, slots=True)
class Cut:
    """What the first PSP did before it was cut off, and who has the money in the end."""

    name: str
    trouble: str
    card: str
    ends_at: str | None


CUTS: Final = (
    Cut("it took the money", "dropAfter", GOOD_CARD, FIRST),
    Cut("it took the money, and said 500", "http500After", GOOD_CARD, FIRST),
    Cut("it took the money, and hung", "timeoutAfter", GOOD_CARD, FIRST),
    Cut("it said no, softly", "dropAfter", SOFT_NO, None),  # And so does the second.
    Cut("it never had the request", "drop", GOOD_CARD, SECOND),
)


@dataclass(slots=True)
class Figures:
    """What became of the orders."""

    orders: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    """Charges asked of each PSP."""
    broken: list[str] = field(default_factory=list)
    """Promises that did not hold, by order."""


def cut_after_each_charge(both: TwoPsps, times: int) -> Figures:
    """*times* orders, each cut off at the first PSP."""
    figures = Figures()
    lock = threading.Lock()

    def asked(account: Account, request: ChargeRequest) -> None:
        """At the moment a PSP is called: is the other one still unknown?"""
        others = [one for one in both.room.attempts(request.merchant_reference) if one.provider != account.provider]
        with lock:
            figures.calls[account.provider] += 1
            if any(one.outcome in UNSETTLED for one in others):
                figures.broken.append(f"{request.merchant_reference}: {account.provider} was called while unknown")

    run = asking(both.room.run, before=asked)
    for count in range(times):
        _one(both, run, CUTS[count % len(CUTS)], figures)
    return figures


def _one(both: TwoPsps, run: Runtime, cut: Cut, figures: Figures) -> None:
    both.sandboxes[FIRST].set_faults(hangSeconds=0.05, next=[{"kind": cut.trouble}])
    number = both.room.locked(fresh_card(cut.card))

    def holds(what: str, is_so: bool) -> None:
        if not is_so:
            figures.broken.append(f"{number} ({cut.name}): {what}")

    _twice(lambda: pay(run, number))
    holds("it is not known what the first did", both.room.state(number) is OrderState.CONFIRMING)
    holds("the second was asked", both.charges(SECOND, number) == [])
    _twice(lambda: look_up(run, number))
    _twice(lambda: pay(run, number))
    if cut.ends_at == SECOND:
        holds("the second was asked without proof", both.charges(SECOND, number) == [])
        both.room.asked_earlier(number, LONG_AGO)
        _twice(lambda: look_up(run, number))
        _twice(lambda: pay(run, number))
    live = both.live(number)
    holds(f"live captures: {live}", live == ([cut.ends_at] if cut.ends_at else []))
    state = both.room.state(number)
    holds(f"it is {state}", state is (OrderState.CAPTURED if cut.ends_at else OrderState.FAILED))
    figures.orders += 1
    figures.ends[f"{cut.name}: {live[0] if live else 'nobody'}"] += 1


def _twice(step: Callable[[], object]) -> None:
    """Two workers at the same moment."""
    barrier = threading.Barrier(2)

    def taken() -> None:
        barrier.wait(10)
        step()

    with ThreadPoolExecutor(2) as workers:
        for worker in [workers.submit(taken) for _ in range(2)]:
            worker.result()
