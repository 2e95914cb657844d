"""What is settled (settle.py), and by what is it judged? News about money, and its order as it stands under a lock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Connection

from shared.domain.outcomes import LookUpOutcome, PaymentOutcome, Returned, StillHeld, reference_of
from shared.domain.states import OrderEvent, may
from shared.keyring import Keyring
from shared.store import attempts as attempt_store
from shared.store import moves
from shared.store.attempts import UNSETTLED, Attempt, AttemptState
from shared.store.orders import Order

TAKEN: Final = frozenset({AttemptState.CAPTURED, AttemptState.RETURNING, AttemptState.RETURNED})
"""Attempts that have their charge."""
MAY_HOLD_MONEY: Final = UNSETTLED | {AttemptState.CAPTURED}
GIVEN_UP: Final = frozenset({AttemptState.CHALLENGED, AttemptState.RETURNING})
"""Attempts whose money went back because their time was over."""
_ASKED: Final = frozenset({"return_money", "operator"})
"""Who brings a PSP's answer about money that goes back, and no event."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What settling needs to know of this installation."""

    keyring: Keyring
    challenge_life: timedelta


@dataclass(frozen=True, slots=True)
class News:
    """What somebody learned about one attempt. *fence*: what its bringer holds, if it holds anything."""

    attempt: Attempt
    outcome: PaymentOutcome | LookUpOutcome
    actor: str
    fence: int | None = None
    remembers_declines: bool = False
    """Whether its PSP is known to answer a repeat under the key of a declined charge with that decline."""

    @property
    def reference(self) -> str | None:
        """The charge it speaks of; None for silence, and for a no that made no charge."""
        return reference_of(self.outcome)


@dataclass(frozen=True, slots=True)
class Case:
    """*news*, the attempt that it is about, and what it is judged by: its order, whose row is locked, and every attempt
    of that."""

    conn: Connection
    order: Order
    attempt: Attempt
    every: list[Attempt]
    news: News
    terms: Terms

    @property
    def is_stale(self) -> bool:
        """Whether its bringer lost the lease since."""
        return self.news.fence is not None and self.news.fence != self.order.fence

    @property
    def is_of_another_charge(self) -> bool:
        """Whether it speaks of a charge, and the attempt holds another."""
        told_of, held = self.news.reference, self.attempt.psp_reference
        return told_of is not None and held is not None and told_of != held

    @property
    def is_of_an_earlier_return(self) -> bool:
        """Whether it tells what came of a return that failed since and was asked for anew: by the name of its request,
        or because it was learned before that was known."""
        match self.news.outcome:
            case Returned(asked_as=asked_as) | StillHeld(asked_as=asked_as):
                seen = self.news.attempt
                was_seen_before = seen.attempt_no == self.attempt.attempt_no and seen.refusals < self.attempt.refusals
                return was_seen_before or (asked_as is not None and self.attempt.was_asked_earlier_as(asked_as))
            case _:
                return False

    @property
    def may_be_of_an_earlier_return(self) -> bool:
        """Whether nobody can tell which return it speaks of: one failed before, its PSP names no request, and it was
        told by an event, which comes in any order. Asked, the PSP says how the charge stands."""
        told = self.news.outcome
        is_unnamed = isinstance(told, Returned) and told.asked_as is None
        return is_unnamed and self.attempt.refusals > 0 and self.news.actor not in _ASKED

    @property
    def is_called_off(self) -> bool:
        """Whether an operator ended the order while one of its attempts held money, or the hope of any: nothing pays it
        any more, whichever attempt it is of."""
        return any(one.is_called_off for one in self.every)

    def move(self, event: OrderEvent, *, due_in: timedelta | None = None, **values: Any) -> Order:
        """Move the order if *event* means anything to its present state; its row is locked, so no race is lost."""
        if not may(self.order.state, event):
            return self.order
        moved = moves.advance(
            self.conn,
            self.order,
            event,
            actor=self.news.actor,
            due_in=due_in,
            attempt_no=self.attempt.attempt_no,
            **values,
        )
        assert moved is not None, "the row is locked"
        return moved

    def mark(self, outcome: AttemptState, **values: Any) -> None:
        """Write what became of the attempt."""
        attempt_store.settle(self.conn, self.attempt, outcome, **values)
