"""Refunds of done orders: written ahead of the call, one at a time an order, never more than was captured.

What is under way is reserved in `payment_attempts.refunded_minor`, whose check the database keeps; what the PSP refuses
is free again. An order stays done and its attempt captured: it was sold and paid, and what went back stands here.

So does what somebody gave back at the PSP beside us, once its PSP tells that nothing is left: it is written down as
given in the moment we hear of it, so that it is told of once and nobody gives it back again. A part that went back
beside us is not: not every PSP says which of two equal ones it was.

What a PSP tells of refunds is judged in refunds_told.py.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

import structlog
from sqlalchemy import Connection, Interval, func, insert, literal, select, text, update

from shared.domain.money import Money
from shared.store.attempts import Attempt
from shared.store.returned_events import tell_returned
from shared.store.tables import payment_attempts, refunds

log = structlog.get_logger(__name__)

MOST: Final = 200
"""Refunds shown of one order."""
_VOID: Final = "-void"


class RefundState(StrEnum):
    """How a refund stands."""

    ASKED = "asked"  # Under way: its PSP is asked until it proves it.
    GIVEN = "given"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Refund:
    """One refund of a done order."""

    tenant_id: UUID
    action_id: UUID
    tracking_number: str
    attempt_no: int
    amount_minor: int
    currency: str
    state: RefundState
    refusals: int
    asked_at: datetime
    key_since: datetime
    due_at: datetime | None
    taken_at: datetime | None
    settled_at: datetime | None
    called_at: datetime | None
    """When its PSP was last called for it, under whichever key: that call may be on its way for a while after."""
    doubted_at: datetime | None
    """When its PSP told of a refund that failed, which may be this one, and nobody asked for this one again."""

    @property
    def money(self) -> Money:
        """What goes back."""
        return Money(self.amount_minor, self.currency)

    @property
    def was_sent(self) -> bool:
        """Whether its PSP may know of it under its present key. Not whether it said that it does: news of what came of
        a call may be here before its answer, or its caller died."""
        return self.taken_at is not None or (self.called_at is not None and self.called_at >= self.key_since)

    @property
    def is_by_hand(self) -> bool:
        """Whether nobody asked for it here: it was written down and proven in one transaction."""
        return self.settled_at == self.asked_at

    @property
    def key(self) -> str:
        """The key its PSP is sent: derived from the action, another one after each refusal, which its old key repeats;
        no longer than what any PSP takes as a reference."""
        return self._key_after(self.refusals)

    @property
    def void_key(self) -> str:
        """The key its PSP is sent where it is asked for a void, which gives all of the charge back."""
        return f"{self.key}{_VOID}"

    def refusals_before(self, asked_as: str) -> int | None:
        """How often it was refused before a request for it was called *asked_as*; None: that was none of ours."""
        key = asked_as.removesuffix(_VOID)
        return next((times for times in range(self.refusals + 1) if key == self._key_after(times)), None)

    def _key_after(self, refusals: int) -> str:
        return f"rf{self.action_id.hex}-{refusals}" if refusals else f"rf{self.action_id.hex}"


_COLUMNS: Final = [refunds.c[field.name] for field in fields(Refund)]

_DUE: Final = text("""
    UPDATE refunds SET due_at = now() + make_interval(secs => :put_off)
    WHERE (tenant_id, action_id) IN (
        SELECT tenant_id, action_id FROM refunds
        WHERE state = 'asked' AND due_at <= now() ORDER BY due_at LIMIT :limit FOR UPDATE SKIP LOCKED)
    RETURNING tracking_number
""")
PUT_OFF_S: Final = 60
"""How long a refund that was rung for has its chance, as other money that goes back (overdue.py)."""


def _refund(row: Any) -> Refund:
    return Refund(**(dict(row._mapping) | {"state": RefundState(row.state)}))


def of_order(conn: Connection, tenant_id: UUID, tracking_number: str) -> list[Refund]:
    """The refunds of an order, the first one first."""
    mine = (refunds.c.tenant_id == tenant_id, refunds.c.tracking_number == tracking_number)
    rows = conn.execute(select(*_COLUMNS).where(*mine).order_by(refunds.c.asked_at).limit(MOST))
    return [_refund(row) for row in rows]


def under_way(conn: Connection, tenant_id: UUID, tracking_number: str) -> Refund | None:
    """The refund of an order that is under way, if one is."""
    mine = (refunds.c.tenant_id == tenant_id, refunds.c.tracking_number == tracking_number)
    row = conn.execute(select(*_COLUMNS).where(*mine, refunds.c.state == RefundState.ASKED)).one_or_none()
    return None if row is None else _refund(row)


def refunded_minor(conn: Connection, attempt: Attempt) -> int:
    """What of *attempt* went back to its shopper by us, or is on its way, in minor units."""
    return int(conn.execute(select(payment_attempts.c.refunded_minor).where(*_is(attempt))).scalar_one())


def is_ours(conn: Connection, attempt: Attempt) -> bool:
    """Whether all of *attempt* went back, or is on its way, because operators said so here."""
    every = of_order(conn, attempt.tenant_id, attempt.tracking_number)
    ours = [one for one in every if one.attempt_no == attempt.attempt_no and not one.is_by_hand]
    return sum(one.amount_minor for one in ours if one.state is not RefundState.REFUSED) == attempt.amount_minor


def write_ahead(conn: Connection, attempt: Attempt, *, action_id: UUID, amount_minor: int) -> None:
    """Record that *amount_minor* of *attempt* is about to go back; the order's row is locked by the caller.

    The database refuses what would be more than was captured, or a second one at once (IntegrityError).
    """
    _reserve(conn, attempt.tenant_id, attempt.tracking_number, attempt.attempt_no, amount_minor)
    conn.execute(
        insert(refunds).values(
            tenant_id=attempt.tenant_id,
            action_id=action_id,
            tracking_number=attempt.tracking_number,
            attempt_no=attempt.attempt_no,
            amount_minor=amount_minor,
            currency=attempt.currency,
        )
    )


def write_call_ahead(conn: Connection, refund: Refund) -> bool:
    """Record that its PSP is about to be called for it; False: it does not stand as it was read, and nobody may be.

    The order's row is locked by the caller, as by whoever settles the refund: so either they see the call, or whoever
    was to make it sees what they settled. The caller commits before it calls.
    """
    noted = (
        update(refunds)
        .where(*_stands(refund, RefundState.ASKED))
        .values(called_at=func.clock_timestamp())
        .returning(refunds.c.action_id)
    )
    return conn.execute(noted).one_or_none() is not None


def given(conn: Connection, refund: Refund) -> bool:
    """Its PSP proved that the money went back; whether this was news."""
    if not _settled(conn, refund, RefundState.GIVEN):
        return False
    _tell(conn, refund)
    return True


def _tell(conn: Connection, refund: Refund) -> None:
    """Its tenant hears of it; anew if it failed after it was told of as given, and was asked for again."""
    name = f"refund_{refund.action_id.hex}_{refund.refusals}"
    tell_returned(conn, refund.tenant_id, refund.tracking_number, money=refund.money, refunded=True, name=name)


def refused(conn: Connection, refund: Refund) -> bool:
    """Its PSP will not give the money back, so it is the order's again; whether this was news."""
    if not _settled(conn, refund, RefundState.REFUSED):
        return False
    _reserve(conn, refund.tenant_id, refund.tracking_number, refund.attempt_no, -refund.amount_minor)
    return True


def put_off(conn: Connection, refund: Refund, *, due_in: timedelta, taken: bool = False) -> None:
    """Ask for it again after *due_in*. *taken*: its PSP took it in hand, and will tell."""
    taken_at = {"taken_at": func.coalesce(refunds.c.taken_at, func.now())} if taken else {}
    conn.execute(
        update(refunds)
        .where(*_stands(refund, RefundState.ASKED))
        .values(due_at=func.now() + literal(due_in, Interval), **taken_at)
    )


def due_now(conn: Connection, tenant_id: UUID, tracking_number: str) -> None:
    """Have the refund of an order that is under way be asked for now."""
    mine = (refunds.c.tenant_id == tenant_id, refunds.c.tracking_number == tracking_number)
    conn.execute(update(refunds).where(*mine, refunds.c.state == RefundState.ASKED).values(due_at=func.now()))


def overdue(conn: Connection, *, limit: int) -> list[str]:
    """At most *limit* orders whose refund is to be asked for now, put off until the PSP had its chance."""
    return list(conn.execute(_DUE, {"limit": limit, "put_off": PUT_OFF_S}).scalars())


def given_after_all(conn: Connection, attempt: Attempt, refund: Refund) -> None:
    """What somebody had taken for refused went back: it counts again where there is room for it."""
    if refunded_minor(conn, attempt) + refund.amount_minor > attempt.amount_minor:
        log.error("refund.more_than_was_left", tracking_number=refund.tracking_number)
        return
    _reserve(conn, refund.tenant_id, refund.tracking_number, refund.attempt_no, refund.amount_minor)
    conn.execute(update(refunds).where(*_stands(refund, RefundState.REFUSED)).values(state=RefundState.GIVEN))
    _tell(conn, refund)


def given_beside_us(conn: Connection, attempt: Attempt) -> None:
    """All of *attempt* is back at its shopper: what we did not give, somebody gave beside us. Told twice it is no news,
    as nothing is left then."""
    left_minor = attempt.amount_minor - refunded_minor(conn, attempt)
    if not left_minor:
        return
    action_id = uuid.uuid4()  # Of no operator's action.
    write_ahead(conn, attempt, action_id=action_id, amount_minor=left_minor)
    mine = (refunds.c.tenant_id == attempt.tenant_id, refunds.c.action_id == action_id)
    proven = {"state": RefundState.GIVEN, "due_at": None, "settled_at": refunds.c.asked_at}
    row = conn.execute(update(refunds).where(*mine).values(proven).returning(*_COLUMNS)).one()
    _tell(conn, _refund(row))
    log.warning("payment.given_back_by_hand", tracking_number=attempt.tracking_number, attempt=attempt.attempt_no)


def ask_again(conn: Connection, refund: Refund, *, due_in: timedelta) -> None:
    """Its PSP says that it did not go back: ask again after *due_in*, under another key. No other is under way."""
    conn.execute(
        update(refunds)
        .where(*_stands(refund, refund.state))
        .values(
            state=RefundState.ASKED,
            refusals=refund.refusals + 1,
            key_since=func.clock_timestamp(),  # Under the order's lock, as called_at: so they tell which was first.
            due_at=func.now() + literal(due_in, Interval),
            taken_at=None,
            settled_at=None,
            doubted_at=None,
        )
    )


def not_given(conn: Connection, refund: Refund) -> None:
    """What counted as given is here after all, and nobody asks for it: it is theirs to give again who gave it beside
    us, or an operator's. It was refused once more: what its PSP may still tell of that giving is of an earlier one."""
    values = {
        "state": RefundState.REFUSED,
        "refusals": refund.refusals + 1,
        "settled_at": func.clock_timestamp(),
        "doubted_at": None,
    }
    conn.execute(update(refunds).where(*_stands(refund, RefundState.GIVEN)).values(values))
    _reserve(conn, refund.tenant_id, refund.tracking_number, refund.attempt_no, -refund.amount_minor)


def doubt(conn: Connection, refund: Refund) -> None:
    """Note that a refund failed which may be this one, and that nobody asks for this one again: somebody has to look
    (the doctor's `refund-in-doubt`)."""
    mine = (refunds.c.tenant_id == refund.tenant_id, refunds.c.action_id == refund.action_id)
    conn.execute(update(refunds).where(*mine).values(doubted_at=func.now()))


def _settled(conn: Connection, refund: Refund, state: RefundState) -> bool:
    settling = (
        update(refunds)
        .where(*_stands(refund, RefundState.ASKED))
        .values(state=state, due_at=None, settled_at=func.now(), doubted_at=None)
        .returning(refunds.c.action_id)
    )
    return conn.execute(settling).one_or_none() is not None


def _reserve(conn: Connection, tenant_id: UUID, tracking_number: str, attempt_no: int, amount_minor: int) -> None:
    attempt = payment_attempts.c
    conn.execute(
        update(payment_attempts)
        .where(
            attempt.tenant_id == tenant_id,
            attempt.tracking_number == tracking_number,
            attempt.attempt_no == attempt_no,
        )
        .values(refunded_minor=attempt.refunded_minor + amount_minor)
    )


def _stands(refund: Refund, state: RefundState) -> list[Any]:
    """As it was read: not settled since, nor under another key."""
    return [
        refunds.c.tenant_id == refund.tenant_id,
        refunds.c.action_id == refund.action_id,
        refunds.c.state == state,
        refunds.c.refusals == refund.refusals,
    ]


def _is(attempt: Attempt) -> list[Any]:
    return [
        payment_attempts.c.tenant_id == attempt.tenant_id,
        payment_attempts.c.tracking_number == attempt.tracking_number,
        payment_attempts.c.attempt_no == attempt.attempt_no,
    ]
