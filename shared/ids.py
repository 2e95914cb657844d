"""Mints the names of orders and derives the names their payments go by."""

from __future__ import annotations

import hmac
from datetime import datetime
from uuid import UUID

from ulid import ULID

from shared.keyring import Keyring


def new_tracking_number() -> str:
    """`trk_` and a ULID (contract section 2): 80 random bits behind the time, so numbers sort and cannot be guessed."""
    return f"trk_{ULID()}"


def first_number_at(moment: datetime) -> str:
    """The smallest tracking number minted at *moment*: where a sweep of recent orders begins."""
    return f"trk_{ULID.from_bytes(int(moment.timestamp() * 1000).to_bytes(6) + bytes(10))}"


def psp_key(keyring: Keyring, tenant_id: UUID, merchant_reference: str, attempt_no: int) -> str:
    """The idempotency key of one attempt at its PSP: the same whenever it is derived again, and guessed by nobody."""
    return keyring.digest("psp-key", str(tenant_id), merchant_reference, str(attempt_no)).hex()[:40]


def return_state(keyring: Keyring, tenant_id: UUID, tracking_number: str) -> str:
    """The signed state a shopper's browser brings back from the PSP: bound to the order, made by nobody else."""
    return keyring.digest("return", str(tenant_id), tracking_number).hex()[:40]


def is_return_state(keyring: Keyring, tenant_id: UUID, tracking_number: str, state: str) -> bool:
    """Whether *state* was signed for this order; takes the same time whatever is wrong with it."""
    return hmac.compare_digest(return_state(keyring, tenant_id, tracking_number).encode(), state.encode())
