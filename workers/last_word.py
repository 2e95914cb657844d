"""What a PSP that cannot be asked said last of a payment: it holds until the PSP says more."""

from __future__ import annotations

from shared.domain.outcomes import Challenge, Challenged, LookUpOutcome, Pending, Unanswered
from shared.patience import PENDING_LOOK
from shared.store.attempts import Attempt, AttemptState


def last_word(attempt: Attempt) -> LookUpOutcome:
    """As a look-up would have told it; nothing of an attempt that was never answered."""
    match attempt.outcome:
        case AttemptState.CHALLENGED:
            return Challenged(attempt.psp_reference, Challenge(None))
        case AttemptState.PENDING:
            assert attempt.psp_reference is not None, "a payment that is pending has a name"
            return Pending(attempt.psp_reference, PENDING_LOOK)
        case _:
            return Unanswered("its PSP cannot be asked")
