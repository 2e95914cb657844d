"""Enters by hand what a PSP says of a payment that nobody can ask it about, or of a refund that must not be repeated.

Somebody looked it up in the PSP's own console, and says so. Their word is settled where all news is (settle.py) and
counts as the PSP's, so it is taken only where the PSP cannot be asked by us. "There is no charge", and of a refund
"nothing went back", is taken only once no request can be on its way any more: else what was not there when somebody
looked happens after all, and after a second refund once more. What the PSP tells later still counts: a capture that
turns up is the order's, or goes back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from sqlalchemy import Connection

from shared.domain.outcomes import Captured, Declined, DeclineReason, LookUpOutcome, NotSent, PaymentOutcome, Returned
from shared.messages import STEP_FOR, Step
from shared.operate.actions import Desk, Did, act
from shared.operate.asking import Asked
from shared.operate.case import Case
from shared.operate.judging import Action
from shared.operate.provable import attempt_to_prove, refund_to_prove
from shared.settle import News, settle
from shared.store import refunds
from shared.store.attempts import Attempt, AttemptState
from shared.store.operator_actions import Acted, Outcome
from shared.store.orders import Order


class Verdict(StrEnum):
    """What the PSP says."""

    CAPTURED = "captured"  # It holds the money, all of it.
    DECLINED = "declined"  # It said no.
    NONE = "none"  # It has no such charge; of a refund: nothing went back.
    RETURNED = "returned"  # The money went back.


FITS: Final[Mapping[AttemptState, frozenset[Verdict]]] = {
    AttemptState.OPEN: frozenset({Verdict.CAPTURED, Verdict.DECLINED, Verdict.NONE}),
    AttemptState.CHALLENGED: frozenset({Verdict.CAPTURED, Verdict.DECLINED}),
    AttemptState.PENDING: frozenset({Verdict.CAPTURED, Verdict.DECLINED}),
    AttemptState.RETURNING: frozenset({Verdict.RETURNED}),
}
"""What may be said of an attempt that stands so."""


@dataclass(frozen=True, slots=True)
class Proof:
    """A verdict, and what the PSP calls the charge; None: as we know it already."""

    verdict: Verdict
    reference: str | None = None


class _Unfit(Exception):
    """Why a proof is not taken."""


def prove(desk: Desk, tenant_id: UUID, number: str, asked: Asked, proof: Proof) -> Acted:
    """Settle *proof* for the order's open attempt, or its refund. Raises NoSuchOrder or OtherAction."""
    what = {"verdict": proof.verdict.value, "reference": proof.reference}

    def do(conn: Connection, case: Case) -> Did:
        try:
            return _settled(desk, conn, case, proof)
        except _Unfit as error:
            return Did(Outcome.REFUSED, f"Not done: {error}.")

    return act(desk, (tenant_id, number), asked, Action.PROVE, what, do)


def _settled(desk: Desk, conn: Connection, case: Case, proof: Proof) -> Did:
    if refund_to_prove(case) is not None:
        return _of_refund(conn, case, proof.verdict, desk.lease_limit)
    attempt = attempt_to_prove(case)
    assert attempt is not None, "it was judged"
    if proof.verdict not in FITS[attempt.outcome]:
        fit = ", ".join(sorted(FITS[attempt.outcome]))
        raise _Unfit(f"attempt {attempt.attempt_no} is {attempt.outcome}: say {fit}")
    outcome = _outcome(case, attempt, proof, desk.lease_limit)
    now = settle(conn, News(attempt, outcome, actor="operator"), desk.terms)
    return Did(Outcome.DONE, f"Settled as {proof.verdict}: the order is {now.state}.", _rings(case.order, now, attempt))


def _outcome(case: Case, attempt: Attempt, proof: Proof, lease_limit: timedelta) -> PaymentOutcome | LookUpOutcome:
    """*proof* in the words of a PSP. Raises _Unfit."""
    reference = proof.reference or attempt.psp_reference
    if attempt.psp_reference not in (None, reference):
        raise _Unfit("its charge has another name: see that it is the same one")
    match proof.verdict:
        case Verdict.CAPTURED if reference is not None:
            return Captured(reference, attempt.money)
        case Verdict.CAPTURED:
            raise _Unfit("a capture has a name: give what the PSP calls it")
        case Verdict.DECLINED:
            return Declined(DeclineReason.GENERIC, reference)
        case Verdict.RETURNED:
            assert reference is not None, "what goes back has a name"
            return Returned(reference)
        case Verdict.NONE:
            _see_that_none_is_on_its_way(case, attempt, attempt.asked_at, lease_limit)
            return NotSent("an operator saw that there is none")


def _see_that_none_is_on_its_way(case: Case, attempt: Attempt, asked_at: datetime, lease_limit: timedelta) -> None:
    """Raises _Unfit as long as what the PSP of *attempt* was last asked for at *asked_at* may still happen."""
    surely = asked_at + lease_limit + case.abilities[attempt.provider].longest_processing
    if case.order.seen_at <= surely:
        raise _Unfit(f"a request may be on its way until {surely:%H:%M:%S}: look again then")


def _rings(before: Order, now: Order, attempt: Attempt) -> tuple[Step, ...]:
    if now.version != before.version and not now.is_finished:
        return (STEP_FOR[now.state],)
    return (Step.RETURN_MONEY,) if now.is_finished and attempt.outcome is not AttemptState.RETURNING else ()


def _of_refund(conn: Connection, case: Case, verdict: Verdict, lease_limit: timedelta) -> Did:
    refund, paid = case.under_way, case.captured
    assert refund is not None, "it was judged"
    assert paid is not None, "it was judged"
    what = f"{refund.amount_minor} {refund.currency} (minor units)"
    match verdict:
        case Verdict.RETURNED:
            refunds.given(conn, refund)
            return Did(Outcome.DONE, f"Settled: {what} went back.")
        case Verdict.NONE:
            if refund.called_at is not None:
                _see_that_none_is_on_its_way(case, paid, refund.called_at, lease_limit)
            refunds.refused(conn, refund)
            return Did(Outcome.DONE, f"Settled: {what} did not go back, and may be refunded again.")
        case _:
            raise _Unfit("of its refund say returned or none")
