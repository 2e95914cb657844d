"""Keeps each PSP event once, before it is acknowledged, until it is settled.

An event that speaks of a charge we do not know yet stays unsettled (parked). What it told is kept in our own
shapes and sealed, because it may name a token; the raw body never is.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from uuid import UUID

from sqlalchemy import Connection, func, update
from sqlalchemy.dialects.postgresql import insert

from shared.keyring import Keyring
from shared.psp.port import PspEvent
from shared.store.tables import psp_events


def keep(conn: Connection, keyring: Keyring, tenant_id: UUID, provider: str, event: PspEvent) -> bool:
    """Keep *event*; True if it still has to be settled. A second delivery waits for the first and then sees it."""
    told = {"shape": type(event.outcome).__name__, "says": asdict(event.outcome) if event.outcome else None}
    sealed = keyring.seal(json.dumps(told, default=str).encode(), bound_to=f"event:{tenant_id}:{event.event_id}")
    row = conn.execute(
        insert(psp_events)
        .values(
            tenant_id=tenant_id,
            provider=provider,
            event_id=event.event_id,
            merchant_reference=event.merchant_reference,
            psp_key=event.psp_key,
            kind=event.kind,
            outcome=sealed,
        )
        .on_conflict_do_update(constraint="psp_events_once", set_={"received_at": psp_events.c.received_at})
        .returning(psp_events.c.settled_at)
    ).one()
    return row.settled_at is None


def settled(conn: Connection, tenant_id: UUID, provider: str, event: PspEvent) -> None:
    """Note that *event* has had its effect, in the transaction that gave it."""
    conn.execute(
        update(psp_events)
        .where(
            psp_events.c.tenant_id == tenant_id,
            psp_events.c.provider == provider,
            psp_events.c.event_id == event.event_id,
        )
        .values(settled_at=func.now())
    )
