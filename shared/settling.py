"""What is settled (settle.py), and by what is it judged? News about money, and its order as it stands under a lock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Connection

from shared.domain.outcomes import LookUpOutcome, PaymentOutcome, reference_of
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
