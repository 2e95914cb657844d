"""What was asked of PSPs for one order, and why of these, as somebody reads it afterwards."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, select

from shared.store.attempts import AttemptState
from shared.store.tables import payment_attempts


@dataclass(frozen=True, slots=True)
class AttemptStory:
    """One attempt; *route* is the router's choice with its reasons, as they stood when its PSP was asked."""

    attempt_no: int
    provider: str
    outcome: AttemptState
    reason: str | None
    psp_reference: str | None
    looks: int
    started_at: datetime
    asked_at: datetime
    settled_at: datetime | None
    route: dict[str, Any] | None
    amount_minor: int
    currency: str
    psp_key: str
    due_at: datetime | None
    """When money that is on its way back is asked for again."""
    taken_at: datetime | None
    """When its PSP took the return in hand."""
    refusals: int


def of_order(conn: Connection, tenant_id: UUID, tracking_number: str) -> list[AttemptStory]:
    """The attempts of an order, the first one first."""
    rows = conn.execute(
        select(*(payment_attempts.c[field.name] for field in fields(AttemptStory)))
        .where(payment_attempts.c.tenant_id == tenant_id, payment_attempts.c.tracking_number == tracking_number)
        .order_by(payment_attempts.c.attempt_no)
    )
    return [AttemptStory(**(dict(row._mapping) | {"outcome": AttemptState(row.outcome)})) for row in rows]
