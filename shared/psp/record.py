"""How an account did of late, as the router reads it, and what counts for and against a PSP.

A PSP is judged by whether it came to a verdict, never by the cards that shoppers type. A hard no is the issuer's word
on a card and would have come from any PSP, so it counts neither way: else whoever meets card testers would look ill. A
soft no is one that another PSP might not have given, and silence is no answer at all: both count against it. So does a
request that it would not even take; one that we held back ourselves (breaker, pacing) was never a call of that PSP.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from shared.domain.outcomes import Captured, Challenged, Declined, NotSent, PaymentOutcome, Pending, Unanswered
from shared.psp.port import Account


@dataclass(frozen=True, slots=True)
class Record:
    """One account over its sliding window."""

    calls: int = 0
    """Charges that count (`counts_for` is not None)."""
    successes: int = 0
    """Those of them that count for the PSP."""
    mean_ms: float = 0.0
    """The mean time of those calls, answered or not, in milliseconds."""
    is_away: bool = False
    """Whether its breaker is open: nobody is sent there now, though it may take payments again soon."""


UNHEARD: Final = Record()
"""Of an account that was not called within the window."""


Records: TypeAlias = Callable[[Sequence[Account]], Mapping[str, Record]]
"""How some accounts of one tenant did, by provider; one that is not there was not called."""


def counts_for(outcome: PaymentOutcome) -> bool | None:
    """Whether a charge that was sent counts for its PSP (True), against it (False), or says nothing of it (None)."""
    match outcome:
        case Captured() | Challenged() | Pending():
            return True
        case Declined():
            return False if outcome.soft else None
        case Unanswered() | NotSent():
            return False
