"""What a tenant is told of its orders, methods and money, and how long we try (contract section 7; Standard Webhooks).

An event is small and names things: whoever wants more asks the API for them. It holds no card data, no token and no
words of a PSP. Its id comes from what happened, not from when it was sent, so that it is the same however often it is
made, sent or asked for again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID


class EventKind(StrEnum):
    """What happened."""

    DONE = "checkout.done"
    FAILED = "checkout.failed"
    ACTION_REQUIRED = "checkout.action_required"
    METHOD_STORED = "payment_method.stored"
    VOIDED = "payment.voided"
    REFUNDED = "payment.refunded"


RETRIES: Final = (
    timedelta(seconds=5),
    timedelta(seconds=30),
    timedelta(minutes=2),
    timedelta(minutes=10),
    timedelta(hours=1),
    timedelta(hours=6),
    timedelta(hours=24),
)
"""How long an event waits after each try in vain; after the last it is parked (contract section 7)."""
PAUSED_AFTER: Final = sum(RETRIES, timedelta())
"""An endpoint that took nothing for as long as one event is tried (31 h) is paused: nobody is there."""
MOST_KEPT_DAYS: Final = 366
"""The delivery log may not grow for ever: it is for events that may still be missed, and no archive."""
SUSPECT_AFTER: Final = 5
"""Tries in vain, one after the other, that make an endpoint suspect: fewer are one bad event, or a restart."""
HOLDS: Final = RETRIES[:4]
"""How long a suspect endpoint is left alone between two tries, the last pause for good: one that is back is noticed
within ten minutes."""


@dataclass(frozen=True, slots=True)
class TenantEvent:
    """One thing that happened, as its tenant is told."""

    tenant_id: UUID
    event_id: str
    kind: EventKind
    subject: str
    """What it is about: a tracking number, or the URN of a method. Events of one subject are told in order."""
    place: int
    """Where it stands among those of its subject: an order's version."""
    body: str


def event_id_of_move(tracking_number: str, version: int) -> str:
    """The id of what an order's move tells (Standard Webhooks: no full stop in it)."""
    return f"{event_stem(tracking_number)}_{version}"


def event_stem(tracking_number: str) -> str:
    """How the ids of an order's events begin."""
    return f"evt_{tracking_number.removeprefix('trk_')}"


def body_of(kind: EventKind, at: datetime, **data: Any) -> str:
    """The document that is sent, in ASCII; what is None is left out. Names become wire names: `customer_urn` is
    customerUrn."""
    told = {_wire(name): value for name, value in data.items() if value is not None}
    stamp = at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return json.dumps({"type": kind.value, "timestamp": stamp, "data": told}, separators=(",", ":"))


def _wire(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))
