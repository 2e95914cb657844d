"""Money on its way back: when its PSP is asked for it again, and what takes a return back that was called done."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import Connection, Interval, func, literal, update

from shared.store.attempts import Attempt, AttemptState, of_attempt, once_taken
from shared.store.tables import payment_attempts


def put_off_return(conn: Connection, attempt: Attempt, *, due_in: timedelta, taken: bool = False) -> None:
    """Ask for the money of *attempt* again after *due_in*. *taken*: its PSP took it in hand, and will tell."""
    taken_at = func.coalesce(payment_attempts.c.taken_at, func.now())
    conn.execute(
        update(payment_attempts)
        .where(*of_attempt(attempt), payment_attempts.c.outcome == AttemptState.RETURNING)
        .where(payment_attempts.c.refusals == attempt.refusals)
        .values(due_at=func.now() + literal(due_in, Interval), **({"taken_at": taken_at} if taken else {}))
    )


def taken_after_all(conn: Connection, attempt: Attempt) -> None:
    """A PSP tells that it took the money of *attempt*, which was given up: it has to go back. Of one that was called
    returned because its PSP had no such charge, the money is asked back under another key, and told of anew."""
    was_called_returned = attempt.outcome is AttemptState.RETURNED
    conn.execute(
        update(payment_attempts)
        .where(*of_attempt(attempt))
        .values(
            outcome=AttemptState.RETURNING,
            reason=once_taken(attempt.reason),
            refusals=payment_attempts.c.refusals + int(was_called_returned),
            due_at=func.now(),
        )
    )


def not_returned(conn: Connection, attempt: Attempt, *, due_in: timedelta) -> None:
    """Its PSP says that the money of *attempt* did not go back: ask again after *due_in*, under another key."""
    conn.execute(
        update(payment_attempts)
        .where(*of_attempt(attempt))
        .values(
            outcome=AttemptState.RETURNING,
            reason=once_taken(attempt.reason),
            refusals=payment_attempts.c.refusals + 1,
            taken_at=None,
            due_at=func.now() + literal(due_in, Interval),
        )
    )
