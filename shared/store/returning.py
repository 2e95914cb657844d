"""Money on its way back: when its PSP is asked for it again, and what takes a return back that was called done."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import Connection, Interval, func, literal, update

from shared.domain.money import Money
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


def ask_now(conn: Connection, attempt: Attempt) -> None:
    """Have the PSP be asked now how the money of *attempt* stands."""
    conn.execute(update(payment_attempts).where(*of_attempt(attempt)).values(due_at=func.now()))


def of_amount(conn: Connection, attempt: Attempt, money: Money) -> None:
    """What goes back of *attempt* is what its PSP took, not what was asked for."""
    taken = {"amount_minor": money.amount_minor, "currency": money.currency}
    conn.execute(update(payment_attempts).where(*of_attempt(attempt)).values(taken))


def taken_after_all(conn: Connection, attempt: Attempt, money: Money) -> None:
    """A PSP tells that it took *money* for *attempt*, which was given up: it has to go back. Of one that was called
    returned because its PSP had no such charge, it is asked back under another key, and told of anew."""
    of_amount(conn, attempt, money)
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
