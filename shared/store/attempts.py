"""The ledger of what we asked of PSPs: written ahead, settled once, never deleted.

An attempt is committed before its PSP is called, so that a worker that dies in the call leaves a trace of it.
`psp_key` and the merchant reference can be derived again from the order, so that even a lost row meets the PSP's
own duplicate check.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from psycopg.errors import UniqueViolation
from sqlalchemy import Connection, Interval, case, func, literal, select, true, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError

from shared.domain.money import Money
from shared.domain.outcomes import Captured
from shared.domain.states import PAID_OR_ENDED
from shared.psp.port import ChargeQuery
from shared.store.tables import orders, payment_attempts


class AttemptState(StrEnum):
    """What we know of the money of one attempt."""

    OPEN = "open"  # Called or about to be; nobody told us.
    CHALLENGED = "challenged"
    PENDING = "pending"
    CAPTURED = "captured"
    DECLINED = "declined"
    ABSENT = "absent"  # Proven: the PSP has no such charge.
    RETURNING = "returning"  # Captured without a right to stay; being voided or refunded.
    RETURNED = "returned"


UNSETTLED: Final = frozenset({AttemptState.OPEN, AttemptState.CHALLENGED, AttemptState.PENDING})
"""Attempts that may hold money and whose verdict is still to come."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to take one order's amount at one PSP."""

    tenant_id: UUID
    tracking_number: str
    attempt_no: int
    provider: str
    psp_key: str
    merchant_reference: str
    amount_minor: int
    currency: str
    outcome: AttemptState
    psp_reference: str | None
    kept_token: bytes | None
    looks: int
    started_at: datetime
    """When its key was first used."""
    asked_at: datetime
    """When the PSP was last asked for it: a request may be on its way for a while after."""
    reason: str | None = None
    """Why it was declined (DeclineReason), or how it is known that there is no charge (NOT_SENT, NOT_FOUND)."""
    brought: bytes | None = None
    """Sealed (shared/brought.py): what the shopper's browser brought back for its PSP."""
    refusals: int = 0
    """How often its PSP said that the money did not go back."""

    @property
    def was_asked_once(self) -> bool:
        """Whether one request at most was ever sent under its key: each one more would have moved `asked_at` on."""
        return self.asked_at == self.started_at

    @property
    def money(self) -> Money:
        """The amount that was asked for."""
        return Money(self.amount_minor, self.currency)

    @property
    def key_at_psp(self) -> str:
        """The key its PSP was sent: a second charge under one key has a row, and so a `psp_key`, of its own."""
        return self.psp_key.partition(_SECOND)[0]

    def return_key(self, verb: str) -> str:
        """The key under which its money is asked back: another one after each refusal, which its old key repeats."""
        return f"{self.psp_key}-{verb}" if not self.refusals else f"{self.psp_key}-{verb}-{self.refusals}"

    @property
    def query(self) -> ChargeQuery:
        """How its PSP is asked about it."""
        return ChargeQuery(self.key_at_psp, self.merchant_reference, self.psp_reference)


NOT_SENT: Final = "not_sent"
"""Nothing reached the PSP. Proof, whatever the PSP."""
NOT_FOUND: Final = "not_found"
"""The PSP knows of no charge. As good a proof as its index is (Capabilities.proves_absence)."""

_SECOND: Final = "#"
"""Between a key and the reference of another charge under it; no key of ours (shared/ids.py: hex) holds it."""


_COLUMNS: Final = [payment_attempts.c[field.name] for field in fields(Attempt)]
_ORDER_OF: Final = (payment_attempts.c.tracking_number == orders.c.tracking_number) & (
    payment_attempts.c.tenant_id == orders.c.tenant_id
)


def _attempt(row: Any) -> Attempt:
    values = {field.name: getattr(row, field.name) for field in fields(Attempt)}
    return Attempt(**(values | {"outcome": AttemptState(row.outcome)}))


def of_order(conn: Connection, tenant_id: UUID, tracking_number: str) -> list[Attempt]:
    """All attempts of an order, the first one first."""
    rows = conn.execute(
        select(*_COLUMNS)
        .where(payment_attempts.c.tenant_id == tenant_id, payment_attempts.c.tracking_number == tracking_number)
        .order_by(payment_attempts.c.attempt_no)
    )
    return [_attempt(row) for row in rows]


def by_key(conn: Connection, tenant_id: UUID, provider: str, psp_key: str) -> Attempt | None:
    """The attempt a PSP's news is about."""
    row = conn.execute(
        select(*_COLUMNS).where(
            payment_attempts.c.tenant_id == tenant_id,
            payment_attempts.c.provider == provider,
            payment_attempts.c.psp_key == psp_key,
        )
    ).one_or_none()
    return None if row is None else _attempt(row)


def told_of(
    conn: Connection,
    tenant_id: UUID,
    provider: str,
    *,
    psp_key: str | None,
    reference: str | None,
    merchant_reference: str | None,
) -> Attempt | None:
    """The attempt a PSP's news is about: by our key, else by the charge it speaks of, else, if it names no key, by the
    order's name.

    Not every PSP signs the key it repeats, so a key counts only where the order's name agrees with it (one that is too
    long to send goes by the key itself). By its name alone an order is found only if just one attempt, one whose charge
    has no name yet, can be meant: an unsettled one before any other.
    """
    key = psp_key or merchant_reference
    if key is not None:
        found = by_key(conn, tenant_id, provider, key)
        if found is not None and merchant_reference in (None, found.merchant_reference, key):
            return found
    mine = (payment_attempts.c.tenant_id == tenant_id) & (payment_attempts.c.provider == provider)
    if reference is not None:
        row = conn.execute(select(*_COLUMNS).where(mine, payment_attempts.c.psp_reference == reference)).one_or_none()
        if row is not None:
            return _attempt(row)
    if merchant_reference is None or psp_key is not None:
        return None
    named = payment_attempts.c.merchant_reference == merchant_reference
    rows = conn.execute(select(*_COLUMNS).where(mine, named, payment_attempts.c.psp_reference.is_(None)))
    every = [_attempt(row) for row in rows]
    meant = [one for one in every if one.outcome in UNSETTLED] or every
    return meant[0] if len(meant) == 1 else None


def by_keys(conn: Connection, tenant_id: UUID, provider: str, psp_keys: Sequence[str]) -> dict[str, Attempt]:
    """Those attempts at *provider* whose rows have one of *psp_keys*, by their key."""
    rows = conn.execute(
        select(*_COLUMNS).where(
            payment_attempts.c.tenant_id == tenant_id,
            payment_attempts.c.provider == provider,
            payment_attempts.c.psp_key.in_(psp_keys),
        )
    )
    return {row.psp_key: _attempt(row) for row in rows}


def key_of_second(psp_key: str, reference: str) -> str:
    """What the row of another charge under *psp_key* has for its key, so that each charge is noted once."""
    return f"{psp_key}{_SECOND}{reference}"


def add_second_charge(conn: Connection, attempt: Attempt, captured: Captured, *, attempt_no: int) -> None:
    """Note another charge that a PSP made under the key of *attempt*: nobody asked for it, so it is to be returned,
    whatever its amount."""
    conn.execute(
        insert(payment_attempts).values(
            tenant_id=attempt.tenant_id,
            tracking_number=attempt.tracking_number,
            attempt_no=attempt_no,
            provider=attempt.provider,
            psp_key=key_of_second(attempt.key_at_psp, captured.reference),
            merchant_reference=attempt.merchant_reference,
            amount_minor=captured.money.amount_minor,
            currency=captured.money.currency,
            outcome=AttemptState.RETURNING,
            psp_reference=captured.reference,
            due_at=func.now(),
            settled_at=func.now(),
        )
    )


def captured_since(conn: Connection, tenant_id: UUID, provider: str, since: str) -> list[Attempt]:
    """The attempts at *provider* that count as captured, of orders whose number is *since* or later."""
    rows = conn.execute(
        select(*_COLUMNS).where(
            payment_attempts.c.tenant_id == tenant_id,
            payment_attempts.c.tracking_number >= since,
            payment_attempts.c.provider == provider,
            payment_attempts.c.outcome == AttemptState.CAPTURED,
        )
    )
    return [_attempt(row) for row in rows]


def beside(conn: Connection, tenant_id: UUID | None, *, limit: int) -> list[tuple[Attempt, timedelta]]:
    """At most *limit* attempts whose verdict is out though their order is paid or ended, and how long ago each was
    asked for; the longest ago first. *tenant_id* None: of all tenants."""
    since = (func.clock_timestamp() - payment_attempts.c.asked_at).label("since")
    rows = conn.execute(
        select(*_COLUMNS, since)
        .join_from(payment_attempts, orders, _ORDER_OF)
        .where(payment_attempts.c.outcome.in_(UNSETTLED), orders.c.state.in_(PAID_OR_ENDED))
        .where(true() if tenant_id is None else payment_attempts.c.tenant_id == tenant_id)
        .order_by(payment_attempts.c.asked_at)
        .limit(limit)
    )
    return [(_attempt(row), row.since) for row in rows]


_ONE_PER_KEY: Final = "payment_attempts_one_per_key"


class KeyTaken(RuntimeError):
    """Another order's attempt has this key at this PSP: the transaction is lost, the order needs a key of its own."""


def write_ahead(conn: Connection, attempt: Attempt, *, route: dict[str, Any] | None = None) -> None:
    """Record that *attempt* is about to be made, or made again under its old key; each time is one to reckon from.

    *route*: why its PSP was chosen (shared/psp/router.py); None where nobody chose: it is asked again, and its key is
    as old as it was. Raises KeyTaken.
    """
    try:
        _write(conn, attempt, route)
    except IntegrityError as error:
        if isinstance(error.orig, UniqueViolation) and error.orig.diag.constraint_name == _ONE_PER_KEY:
            raise KeyTaken(f"attempt {attempt.attempt_no} at {attempt.provider}") from error
        raise


def _write(conn: Connection, attempt: Attempt, route: dict[str, Any] | None) -> None:
    values: dict[str, Any] = {field.name: getattr(attempt, field.name) for field in fields(Attempt)}
    del values["started_at"], values["asked_at"]
    writing = insert(payment_attempts).values(values | {"route": route})
    is_new = writing.excluded.route.is_not(None)  # Chosen anew, after proof that it holds nothing; else sent again.
    conn.execute(
        writing.on_conflict_do_update(
            index_elements=["tenant_id", "tracking_number", "attempt_no"],
            set_={
                "route": func.coalesce(writing.excluded.route, payment_attempts.c.route),
                "outcome": AttemptState.OPEN,
                "reason": None,
                "looks": case((is_new, literal(0)), else_=payment_attempts.c.looks),
                "settled_at": None,
                "asked_at": func.now(),
                "started_at": case((is_new, func.now()), else_=payment_attempts.c.started_at),
            },
            where=payment_attempts.c.outcome.in_([AttemptState.OPEN, AttemptState.ABSENT]),
        )
    )


def settle(
    conn: Connection,
    attempt: Attempt,
    outcome: AttemptState,
    *,
    reference: str | None = None,
    reason: str | None = None,
    kept_token: bytes | None = None,
) -> None:
    """Write what became of *attempt*; its order's row is locked by the caller, so nobody writes beside it."""
    conn.execute(
        update(payment_attempts)
        .where(*_is(attempt))
        .values(
            outcome=outcome,
            psp_reference=reference or attempt.psp_reference,
            reason=reason,
            kept_token=kept_token or attempt.kept_token,
            settled_at=None if outcome in UNSETTLED else func.now(),
            due_at=func.now() if outcome is AttemptState.RETURNING else None,
            brought=payment_attempts.c.brought if outcome is AttemptState.CHALLENGED else None,
        )
    )


def keep(conn: Connection, attempt: Attempt, kept_token: bytes) -> None:
    """Note what the PSP kept with *attempt*, if nobody did yet."""
    conn.execute(
        update(payment_attempts)
        .where(*_is(attempt), payment_attempts.c.kept_token.is_(None))
        .values(kept_token=kept_token)
    )


def bring(conn: Connection, attempt: Attempt, brought: bytes) -> bool:
    """Note what a shopper's browser brought back for *attempt*, once and while it waits for its shopper; whether it
    was."""
    noted = (
        update(payment_attempts)
        .where(*_is(attempt), payment_attempts.c.outcome == AttemptState.CHALLENGED)
        .where(payment_attempts.c.brought.is_(None))
        .values(brought=brought)
        .returning(payment_attempts.c.attempt_no)
    )
    return conn.execute(noted).one_or_none() is not None


def looked(conn: Connection, attempt: Attempt) -> None:
    """Count one more look-up of *attempt*."""
    conn.execute(update(payment_attempts).where(*_is(attempt)).values(looks=payment_attempts.c.looks + 1))


def put_off_return(conn: Connection, attempt: Attempt, *, due_in: timedelta, taken: bool = False) -> None:
    """Ask for the money of *attempt* again after *due_in*. *taken*: its PSP took it in hand, and will tell."""
    taken_at = func.coalesce(payment_attempts.c.taken_at, func.now())
    conn.execute(
        update(payment_attempts)
        .where(*_is(attempt), payment_attempts.c.outcome == AttemptState.RETURNING)
        .where(payment_attempts.c.refusals == attempt.refusals)
        .values(due_at=func.now() + literal(due_in, Interval), **({"taken_at": taken_at} if taken else {}))
    )


def not_returned(conn: Connection, attempt: Attempt, *, due_in: timedelta) -> None:
    """Its PSP says that the money of *attempt* did not go back: ask again after *due_in*, under another key."""
    conn.execute(
        update(payment_attempts)
        .where(*_is(attempt))
        .values(
            outcome=AttemptState.RETURNING,
            refusals=payment_attempts.c.refusals + 1,
            taken_at=None,
            due_at=func.now() + literal(due_in, Interval),
        )
    )


def _is(attempt: Attempt) -> list[Any]:
    return [
        payment_attempts.c.tenant_id == attempt.tenant_id,
        payment_attempts.c.tracking_number == attempt.tracking_number,
        payment_attempts.c.attempt_no == attempt.attempt_no,
    ]
