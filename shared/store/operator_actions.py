"""Writes down what operators did: who, why, what and how it ended; read back by the order and by the action."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from shared.store.tables import operator_actions

MOST: Final = 200
"""Actions shown of one order."""


class Outcome(StrEnum):
    """How an action ended when it was asked for."""

    DONE = "done"
    BEGUN = "begun"  # Money is on its way; the order's story tells how it ends.
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Acted:
    """One action as it was recorded."""

    tenant_id: UUID
    action_id: UUID
    tracking_number: str | None
    action: str
    who: str
    why: str
    outcome: Outcome
    told: str
    at: datetime
    what: Mapping[str, Any] = field(default_factory=dict)


_COLUMNS: Final = [operator_actions.c[one.name] for one in fields(Acted)]


def _acted(row: Any) -> Acted:
    return Acted(**(dict(row._mapping) | {"outcome": Outcome(row.outcome)}))


def get(conn: Connection, tenant_id: UUID, action_id: UUID) -> Acted | None:
    """The action of this id, if it was asked for before."""
    row = conn.execute(
        select(*_COLUMNS).where(operator_actions.c.tenant_id == tenant_id, operator_actions.c.action_id == action_id)
    ).one_or_none()
    return None if row is None else _acted(row)


def of_order(conn: Connection, tenant_id: UUID, tracking_number: str) -> list[Acted]:
    """What was done to an order, the first one first; of very many the latest."""
    action = operator_actions.c
    rows = conn.execute(
        select(*_COLUMNS)
        .where(action.tenant_id == tenant_id, action.tracking_number == tracking_number)
        .order_by(action.at.desc(), action.action_id)
        .limit(MOST)
    )
    return [_acted(row) for row in rows][::-1]


def record(
    conn: Connection,
    *,
    tenant_id: UUID,
    action_id: UUID,
    tracking_number: str | None,
    action: str,
    who: str,
    why: str,
    what: Mapping[str, Any],
    outcome: Outcome,
    told: str,
) -> Acted | None:
    """Write an action down, in the transaction that acts; None if one of this id was before."""
    row = conn.execute(
        insert(operator_actions)
        .values(
            tenant_id=tenant_id,
            action_id=action_id,
            tracking_number=tracking_number,
            action=action,
            who=who,
            why=why,
            what=dict(what),
            outcome=outcome,
            told=told,
        )
        .on_conflict_do_nothing()
        .returning(*_COLUMNS)
    ).one_or_none()
    return None if row is None else _acted(row)
