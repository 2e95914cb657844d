"""What money may be out: one query that must come back to empty.

An attempt is open money while it may hold some and its order is not done: nobody told us the verdict, the shopper
or the bank still decides, the order is not finished yet, or what was taken is on its way back. A failed order may
appear here only with money that is being returned.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, Text, Uuid, bindparam, text

from shared.domain.states import OrderState
from shared.store.attempts import AttemptState

SHOWN: Final = 1_000
"""Attempts a call shows; more than that is no list for people, and any at all is what a test asks for."""

_OPEN: Final = text("""
    SELECT tenant_id, tracking_number, attempt_no, provider, psp_reference, outcome, state, amount_minor, currency,
           started_at
    FROM (
        SELECT attempt.*, orders.state FROM payment_attempts AS attempt
        JOIN orders USING (tracking_number, tenant_id)
        WHERE attempt.outcome IN ('open', 'challenged', 'pending', 'returning')
        UNION ALL
        SELECT attempt.*, orders.state FROM orders
        JOIN payment_attempts AS attempt USING (tracking_number, tenant_id)
        WHERE orders.state <> 'done' AND orders.tracking_number >= :since AND attempt.outcome = 'captured'
    ) AS held
    WHERE (:tenant IS NULL OR tenant_id = :tenant)
    ORDER BY started_at LIMIT :shown
""").bindparams(bindparam("tenant", type_=Uuid), bindparam("since", type_=Text))

# Of what is captured, only that of orders on their way: what a failed one holds is for c2a doctor to find.
_SUMS: Final = text("""
    SELECT kind, currency, count(*) AS pieces, sum(amount_minor)::bigint AS amount_minor, min(started_at) AS oldest
    FROM (
        SELECT outcome AS kind, currency, amount_minor, started_at FROM payment_attempts
        WHERE tenant_id = :tenant AND outcome IN ('open', 'challenged', 'pending', 'returning')
        UNION ALL
        SELECT attempt.outcome, attempt.currency, attempt.amount_minor, attempt.started_at FROM orders
        JOIN payment_attempts AS attempt USING (tracking_number, tenant_id)
        WHERE orders.state = 'captured' AND orders.due_at IS NOT NULL AND tenant_id = :tenant
          AND attempt.outcome = 'captured'
        UNION ALL
        SELECT 'refund', currency, amount_minor, asked_at FROM refunds WHERE tenant_id = :tenant AND state = 'asked'
    ) AS held
    GROUP BY kind, currency ORDER BY kind, currency
""").bindparams(bindparam("tenant", type_=Uuid))


_AT: Final = text("""
    SELECT EXISTS (
        SELECT FROM payment_attempts WHERE tenant_id = :tenant AND provider = :provider
        AND outcome IN ('open', 'challenged', 'pending', 'returning')
    ) OR EXISTS (
        SELECT FROM refunds JOIN payment_attempts USING (tenant_id, tracking_number, attempt_no)
        WHERE tenant_id = :tenant AND provider = :provider AND state = 'asked')
""").bindparams(bindparam("tenant", type_=Uuid))


@dataclass(frozen=True, slots=True)
class OpenSum:
    """How much money of one currency stands open in one way, and since when the oldest of it does."""

    kind: str
    """The outcome of its attempts (shared/store/attempts.py), or "refund"."""
    currency: str
    pieces: int
    amount_minor: int
    oldest: datetime


@dataclass(frozen=True, slots=True)
class OpenMoney:
    """One attempt that may hold money; *state* is its order's."""

    tenant_id: UUID
    tracking_number: str
    attempt_no: int
    provider: str
    psp_reference: str | None
    outcome: AttemptState
    state: OrderState
    amount_minor: int
    currency: str
    started_at: datetime


def open_money(conn: Connection, *, tenant_id: UUID | None = None, since: str = "") -> list[OpenMoney]:
    """The open money of a tenant, or of all, the oldest first.

    *since*: a tracking number (shared/ids.py: first_number_at) that bounds the search for captures of orders that are
    not done, where a sweep must not read every order there ever was; whatever is unsettled is always found.
    """
    rows = conn.execute(_OPEN, {"tenant": tenant_id, "since": since, "shown": SHOWN})
    return [
        OpenMoney(**(dict(row._mapping) | {"outcome": AttemptState(row.outcome), "state": OrderState(row.state)}))
        for row in rows
    ]


def is_open_at(conn: Connection, tenant_id: UUID, provider: str) -> bool:
    """Whether a tenant's account at *provider* has to be asked about money: a verdict is out, or money is to go back,
    a refund included."""
    return bool(conn.execute(_AT, {"tenant": tenant_id, "provider": provider}).scalar_one())


def sums(conn: Connection, tenant_id: UUID) -> list[OpenSum]:
    """The open money of a tenant, added up: read by indexes that hold nothing but what is open."""
    rows = conn.execute(_SUMS, {"tenant": tenant_id})
    return [OpenSum(*row) for row in rows]
