"""How what a shopper's browser brought back from a PSP's page waits in the attempt's row until it is told: sealed.

It finishes a payment at a PSP that wants it (Capabilities.brings), so whoever reads it at rest must not be able to; it
opens only for its own attempt, and leaves the row when the attempt is settled. A browser may bring anything: only the
fields the PSP wants are kept, within a bound.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final
from uuid import UUID

from shared.keyring import Keyring
from shared.store.attempts import Attempt

LONGEST: Final = 16_384
"""Characters of one field: the results of PSPs' pages have some hundred, and issuers' up to a few thousand."""


def wanted(fields: Mapping[str, str], names: frozenset[str]) -> dict[str, str]:
    """Those of *fields* that the PSP wants, if they can be what it wants."""
    return {name: fields[name] for name in sorted(names) if 0 < len(fields.get(name, "")) <= LONGEST}


def seal_brought(keyring: Keyring, attempt: Attempt, brought: Mapping[str, str]) -> bytes:
    """*brought* as the attempt's row may hold it."""
    return keyring.seal(json.dumps(dict(brought)).encode(), bound_to=_place(attempt))


def open_brought(keyring: Keyring, attempt: Attempt) -> dict[str, str]:
    """What was brought back for this attempt; empty if nothing."""
    if attempt.brought is None:
        return {}
    return dict(json.loads(keyring.open(attempt.brought, bound_to=_place(attempt))))


def bound_to(tenant_id: UUID, tracking_number: str, attempt_no: int) -> str:
    """Where what was brought back for an attempt opens."""
    return f"brought:{tenant_id}:{tracking_number}:{attempt_no}"


def _place(attempt: Attempt) -> str:
    return bound_to(attempt.tenant_id, attempt.tracking_number, attempt.attempt_no)
