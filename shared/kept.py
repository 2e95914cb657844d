"""How a payment method that a PSP kept for us travels from the charge to the stored method: sealed.

The token stands in the attempt's row between the capture and the tokenize step, and in the inbox between a
webhook and its settling; in both it opens only for its own tenant and order.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from uuid import UUID

import structlog

from shared.domain.outcomes import KeptMethod
from shared.key_service import KeysAway
from shared.keyring import Keyring
from shared.store.attempts import Attempt

log = structlog.get_logger(__name__)


def sealed_or_none(keyring: Keyring, attempt: Attempt, kept: KeptMethod | None) -> bytes | None:
    """*kept* as the attempt's row may hold it; None without keys to seal it: the tokenize step then asks the PSP again,
    for a capture is written down whatever is away."""
    if kept is None:
        return None
    try:
        return keyring.seal(json.dumps(asdict(kept)).encode(), bound_to=_place(attempt))
    except KeysAway:
        log.warning("payment.kept_not_sealed", tracking_number=attempt.tracking_number)
        return None


def open_kept(keyring: Keyring, attempt: Attempt) -> KeptMethod | None:
    """What the PSP kept with this attempt; None if nothing (yet)."""
    if attempt.kept_token is None:
        return None
    return KeptMethod(**json.loads(keyring.open(attempt.kept_token, bound_to=_place(attempt))))


def bound_to(tenant_id: UUID, tracking_number: str, attempt_no: int) -> str:
    """Where what was kept with an attempt opens."""
    return f"kept:{tenant_id}:{tracking_number}:{attempt_no}"


def _place(attempt: Attempt) -> str:
    return bound_to(attempt.tenant_id, attempt.tracking_number, attempt.attempt_no)
