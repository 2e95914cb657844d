"""Of what may somebody say by hand what the PSP knows of it? Of nothing that we can ask the PSP ourselves."""

from __future__ import annotations

from shared.operate.case import Case
from shared.store.attempts import Attempt, AttemptState
from shared.store.refunds import Refund

A = AttemptState


def attempt_to_prove(case: Case) -> Attempt | None:
    """The attempt whose verdict is out, or whose money is on its way back, at a PSP that cannot be asked."""
    for one in case.attempts:
        can = case.abilities.get(one.provider)
        is_out = one.outcome in (A.OPEN, A.CHALLENGED, A.PENDING, A.RETURNING)
        if is_out and can is not None and not can.looks_up:
            return one
    return None


def refund_to_prove(case: Case) -> Refund | None:
    """The refund under way whose PSP cannot be asked, or must not be asked again by a key it may have forgotten."""
    refund = case.under_way
    paid = case.captured
    can = None if paid is None else case.abilities.get(paid.provider)
    if refund is None or paid is None or can is None:
        return None
    is_part = refund.amount_minor != paid.amount_minor
    is_old = is_part and case.order.seen_at - refund.key_since > can.key_lifetime
    return refund if not can.looks_up or is_old else None


def why_nothing(case: Case) -> str | None:
    """Why nobody's word is asked for; None if it is."""
    if attempt_to_prove(case) is not None or refund_to_prove(case) is not None:
        return None
    return "nothing of it is open at a PSP that cannot be asked: retry asks"
