"""The ledger of what we asked of PSPs: written ahead, settled once, there for as long as its order and its money are.

An attempt is committed before its PSP is called, so that a worker that dies in the call leaves a trace of it.
`psp_key` and the merchant reference can be derived again from the order, so that even a lost row meets the PSP's
own duplicate check.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Literal, get_args
from uuid import UUID

from sqlalchemy import Boolean, Connection, bindparam, case, func, null, select, true, update
from sqlalchemy.dialects.postgresql import insert

from shared.domain.money import Money
from shared.domain.outcomes import Captured
from shared.domain.states import PAID_OR_ENDED
from shared.psp.port import ChargeQuery
from shared.store.direct import At, Direct
from shared.store.tables import orders, payment_attempts


class AttemptState(StrEnum):
    """What we know of the money of one attempt."""

    OPEN = "open"  # Called or about to be; nobody told us.
    CHALLENGED = "challenged"
    PENDING = "pending"
    CAPTURED = "captured"
    DECLINED = "declined"
    ABSENT = "absent"  # Proven: the PSP has no such charge.
    RETURNING = "returning"  # Captured without a right to stay, or given up before it was; being voided or refunded.
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
    """Why it was declined (DeclineReason), how it is known that there is no charge (NOT_SENT, NOT_FOUND), or why its
    money goes back (CALLED_OFF, UNTAKEN; None: it had no right to stay)."""
    brought: bytes | None = None
    """Sealed (shared/brought.py): what the shopper's browser brought back for its PSP."""
    refusals: int = 0
    """How often its PSP said that the money did not go back."""

    @property
    def was_asked_once(self) -> bool:
        """Whether one request at most was ever sent under its key: each one more would have moved `asked_at` on."""
        return self.asked_at == self.started_at

    @property
    def is_untaken(self) -> bool:
        """Whether it was given up before anybody told that its money was taken, and nobody has told so since.

        Of one that is RETURNED it says how that is known: not by a void or a refund, but because its PSP has no such
        charge. Only such a one may be called returned for that.
        """
        return self.reason in UNTAKEN

    @property
    def is_called_off(self) -> bool:
        """Whether an operator ended its order while it held money, or the hope of any."""
        return self.reason in (CALLED_OFF, CALLED_OFF_UNTAKEN)

    @property
    def money(self) -> Money:
        """The amount that was asked for; of what goes back, the amount its PSP took."""
        return Money(self.amount_minor, self.currency)

    @property
    def key_at_psp(self) -> str:
        """The key its PSP was sent: a second charge under one key has a row, and so a `psp_key`, of its own."""
        return self.psp_key.partition(_SECOND)[0]

    def return_key(self, verb: Verb) -> str:
        """The key under which its money is asked back: another one after each refusal, which its old key repeats."""
        return f"{self.psp_key}-{verb}" if not self.refusals else f"{self.psp_key}-{verb}-{self.refusals}"

    def was_asked_earlier_as(self, asked_as: str) -> bool:
        """Whether *asked_as* is the name of a return that was refused since, so that it was asked for anew."""
        earlier = [replace(self, refusals=times).return_key(verb) for times in range(self.refusals) for verb in VERBS]
        return asked_as in earlier

    @property
    def query(self) -> ChargeQuery:
        """How its PSP is asked about it."""
        return ChargeQuery(self.key_at_psp, self.merchant_reference, self.psp_reference)


NOT_SENT: Final = "not_sent"
"""Nothing reached the PSP. Proof, whatever the PSP."""
NOT_FOUND: Final = "not_found"
"""The PSP knows of no charge. As good a proof as its index is (Capabilities.proves_absence)."""

CALLED_OFF: Final = "called_off"
"""Its money goes back because an operator ended the order."""
CALLED_OFF_UNTAKEN: Final = "called_off_untaken"
"""The same, and nobody told that any was taken."""
NEVER_TAKEN: Final = "never_taken"
"""It was given up (its time was over, or its order ended without it), and nobody told that any money was taken."""
UNTAKEN: Final = frozenset({NEVER_TAKEN, CALLED_OFF_UNTAKEN})
_TAKEN_AFTER_ALL: Final = {NEVER_TAKEN: None, CALLED_OFF_UNTAKEN: CALLED_OFF}


def once_taken(reason: str | None) -> str | None:
    """What *reason* becomes once money was taken, or was given back for all that anybody took: untaken no longer."""
    return None if reason is None else _TAKEN_AFTER_ALL.get(reason, reason)


Verb = Literal["void", "refund"]
VERBS: Final[tuple[Verb, ...]] = get_args(Verb)
"""How money is asked back."""

_SECOND: Final = "#"
"""Between a key and the reference of another charge under it; no key of ours (shared/ids.py: hex) holds it."""


_COLUMNS: Final = [payment_attempts.c[field.name] for field in fields(Attempt)]
_OUTCOME_AT: Final = [field.name for field in fields(Attempt)].index("outcome")
OF_ITS_ORDER: Final = (payment_attempts.c.tracking_number == orders.c.tracking_number) & (
    payment_attempts.c.tenant_id == orders.c.tenant_id
)
"""In a statement that reads an order: its attempts."""
_OF_TENANT: Final = Direct(
    select(*_COLUMNS)
    .where(payment_attempts.c.tenant_id == bindparam("tenant"))
    .where(payment_attempts.c.tracking_number == bindparam("number"))
    .order_by(payment_attempts.c.attempt_no)
)


def attempt_of(row: Any) -> Attempt:
    """The attempt that *row* holds, of the columns in the order of its fields."""
    values = [*row]
    values[_OUTCOME_AT] = AttemptState(values[_OUTCOME_AT])
    return Attempt(*values)


def of_order(at: At, tenant_id: UUID, tracking_number: str) -> list[Attempt]:
    """All attempts of an order, the first one first."""
    return [attempt_of(row) for row in _OF_TENANT.all(at, {"tenant": tenant_id, "number": tracking_number})]


def by_key(conn: Connection, tenant_id: UUID, provider: str, psp_key: str) -> Attempt | None:
    """The attempt a PSP's news is about."""
    row = conn.execute(
        select(*_COLUMNS).where(
            payment_attempts.c.tenant_id == tenant_id,
            payment_attempts.c.provider == provider,
            payment_attempts.c.psp_key == psp_key,
        )
    ).one_or_none()
    return None if row is None else attempt_of(row)


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
            return attempt_of(row)
    if merchant_reference is None or psp_key is not None:
        return None
    named = payment_attempts.c.merchant_reference == merchant_reference
    rows = conn.execute(select(*_COLUMNS).where(mine, named, payment_attempts.c.psp_reference.is_(None)))
    every = [attempt_of(row) for row in rows]
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
    return {row.psp_key: attempt_of(row) for row in rows}


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
    return [attempt_of(row) for row in rows]


def known_charge_at(conn: Connection, tenant_id: UUID, provider: str) -> Attempt | None:
    """An attempt at *provider* of which its PSP must know, for its money was taken: one that waits to go back, else the
    youngest order's, whatever became of it since."""
    taken = (AttemptState.CAPTURED, AttemptState.RETURNING, AttemptState.RETURNED)
    rows = conn.execute(
        select(*_COLUMNS)
        .where(payment_attempts.c.tenant_id == tenant_id, payment_attempts.c.provider == provider)
        .where(payment_attempts.c.outcome.in_(taken), payment_attempts.c.psp_reference.is_not(None))
        .where(func.coalesce(payment_attempts.c.reason, "").not_in(UNTAKEN))
        .order_by(payment_attempts.c.outcome != AttemptState.RETURNING, payment_attempts.c.tracking_number.desc())
        .limit(1)
    )
    return next((attempt_of(row) for row in rows), None)


def beside(conn: Connection, tenant_id: UUID | None, *, limit: int) -> list[tuple[Attempt, timedelta]]:
    """At most *limit* attempts whose verdict is out though their order is paid or ended, and how long ago each was
    asked for; the longest ago first. *tenant_id* None: of all tenants."""
    since = (func.clock_timestamp() - payment_attempts.c.asked_at).label("since")
    rows = conn.execute(
        select(*_COLUMNS, since)
        .join_from(payment_attempts, orders, OF_ITS_ORDER)
        .where(payment_attempts.c.outcome.in_(UNSETTLED), orders.c.state.in_(PAID_OR_ENDED))
        .where(true() if tenant_id is None else payment_attempts.c.tenant_id == tenant_id)
        .order_by(payment_attempts.c.asked_at)
        .limit(limit)
    )
    return [(attempt_of(row[:-1]), row.since) for row in rows]


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
    _SETTLE.all(conn, values_of(attempt, outcome, reference=reference, reason=reason, kept_token=kept_token))


def values_of(
    attempt: Attempt,
    outcome: AttemptState,
    *,
    reference: str | None = None,
    reason: str | None = None,
    kept_token: bytes | None = None,
) -> dict[str, Any]:
    """The values of `settled` for what became of *attempt*, and its name."""
    return {
        "tenant": attempt.tenant_id,
        "number": attempt.tracking_number,
        "attempt_no": attempt.attempt_no,
        "to_outcome": outcome.value,
        "to_reference": reference or attempt.psp_reference,
        "to_reason": reason,
        "to_kept_token": kept_token or attempt.kept_token,
        "is_out": outcome in UNSETTLED,
        "is_returning": outcome is AttemptState.RETURNING,
        "is_challenged": outcome is AttemptState.CHALLENGED,
    }


def settled() -> dict[str, Any]:
    """What an attempt becomes, of `values_of`."""
    column = payment_attempts.c
    return {
        "outcome": bindparam("to_outcome", type_=column.outcome.type),
        "psp_reference": bindparam("to_reference", type_=column.psp_reference.type),
        "reason": bindparam("to_reason", type_=column.reason.type),
        "kept_token": bindparam("to_kept_token", type_=column.kept_token.type).cast(column.kept_token.type),
        "settled_at": case((bindparam("is_out", type_=Boolean), null()), else_=func.now()),
        "due_at": case((bindparam("is_returning", type_=Boolean), func.now())),
        "brought": case((bindparam("is_challenged", type_=Boolean), column.brought)),
    }


_SETTLE: Final = Direct(
    update(payment_attempts)
    .where(payment_attempts.c.tenant_id == bindparam("tenant"))
    .where(payment_attempts.c.tracking_number == bindparam("number"))
    .where(payment_attempts.c.attempt_no == bindparam("attempt_no", type_=payment_attempts.c.attempt_no.type))
    .values(settled())
)


def keep(conn: Connection, attempt: Attempt, kept_token: bytes) -> None:
    """Note what the PSP kept with *attempt*, if nobody did yet."""
    conn.execute(
        update(payment_attempts)
        .where(*of_attempt(attempt), payment_attempts.c.kept_token.is_(None))
        .values(kept_token=kept_token)
    )


def bring(conn: Connection, attempt: Attempt, brought: bytes) -> bool:
    """Note what a shopper's browser brought back for *attempt*, once and while it waits for its shopper; whether it
    was."""
    noted = (
        update(payment_attempts)
        .where(*of_attempt(attempt), payment_attempts.c.outcome == AttemptState.CHALLENGED)
        .where(payment_attempts.c.brought.is_(None))
        .values(brought=brought)
        .returning(payment_attempts.c.attempt_no)
    )
    return conn.execute(noted).one_or_none() is not None


def looked(conn: Connection, attempt: Attempt) -> None:
    """Count one more look-up of *attempt*."""
    conn.execute(update(payment_attempts).where(*of_attempt(attempt)).values(looks=payment_attempts.c.looks + 1))


def of_attempt(attempt: Attempt) -> list[Any]:
    """In a statement: the row of *attempt*."""
    return [
        payment_attempts.c.tenant_id == attempt.tenant_id,
        payment_attempts.c.tracking_number == attempt.tracking_number,
        payment_attempts.c.attempt_no == attempt.attempt_no,
    ]
