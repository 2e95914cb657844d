"""Mints the names of orders and derives the names their payments go by.

A ULID says the millisecond by itself, so what sorts by time sorts by it. Inside a millisecond numbers have no order and
nothing may rely on one: minted one above the other, as the library's own generator does it, each would tell a shopper
the number of whoever came next.
"""

from __future__ import annotations

import hmac
import re
import secrets
import time
from datetime import datetime
from typing import Final
from uuid import UUID

from ulid import ULID

from shared.keyring import Keyring

TIME_BYTES: Final = 6
RANDOM_BYTES: Final = 10
"""What a ULID is made of: milliseconds since 1970, then 80 random bits."""
_TIME: Final = slice(4, 14)
"""The letters of a tracking number that tell its time: five bits each, milliseconds."""
_AS_DIGITS: Final = str.maketrans("ABCDEFGHJKMNPQRSTVWXYZ", "ABCDEFGHIJKLMNOPQRSTUV")
"""From the letters of a ULID (Crockford) to those Python counts with."""
_LIKE_A_NUMBER: Final = re.compile(r"trk_[0-9A-Za-z_]{1,60}")


def new_tracking_number() -> str:
    """`trk_` and a ULID (contract section 2): 80 random bits behind the time, so numbers sort and cannot be guessed,
    not even by who has one of the same millisecond."""
    return f"trk_{ULID.from_bytes(_time_part(time.time_ns() // 1_000_000) + secrets.token_bytes(RANDOM_BYTES))}"


def may_be_number(text: str) -> bool:
    """Whether *text* could be a tracking number: what others write may hold letters that PostgreSQL takes in no text
    (NUL), and would break the statement of everybody who asks with them."""
    return _LIKE_A_NUMBER.fullmatch(text) is not None


def first_number_at(moment: datetime) -> str:
    """The smallest tracking number minted at *moment*: where a sweep of recent orders begins."""
    return first_number_at_ms(int(moment.timestamp() * 1000))


def minted_ms(tracking_number: str) -> int:
    """When *tracking_number* was minted, in milliseconds since 1970. Raises ValueError for what is no such number."""
    return int(tracking_number[_TIME].translate(_AS_DIGITS), base=32)


def first_number_at_ms(moment_ms: int) -> str:
    """The smallest tracking number minted at *moment_ms* (milliseconds since 1970)."""
    return f"trk_{ULID.from_bytes(_time_part(moment_ms) + bytes(RANDOM_BYTES))}"


def psp_key(keyring: Keyring, tenant_id: UUID, merchant_reference: str, attempt_no: int) -> str:
    """The idempotency key of one attempt at its PSP: the same whenever it is derived again, and guessed by nobody."""
    return keyring.digest("psp-key", str(tenant_id), merchant_reference, str(attempt_no)).hex()[:40]


def return_state(keyring: Keyring, tenant_id: UUID, tracking_number: str, attempt_no: int | str) -> str:
    """The signed state a shopper's browser brings back from the PSP: `<attempt>.<signature>`, bound to the order and to
    that attempt to pay it, made by nobody else."""
    return f"{attempt_no}.{keyring.digest('return', str(tenant_id), tracking_number, str(attempt_no)).hex()[:40]}"


def attempt_of_state(keyring: Keyring, tenant_id: UUID, tracking_number: str, state: str) -> int | None:
    """The attempt *state* was signed for; None if it was not for this order, in the same time whatever is wrong."""
    attempt_no = state.partition(".")[0]
    signed = return_state(keyring, tenant_id, tracking_number, attempt_no)
    good = hmac.compare_digest(signed.encode("utf-8", "surrogatepass"), state.encode("utf-8", "surrogatepass"))
    return int(attempt_no) if good else None


def _time_part(milliseconds: int) -> bytes:
    return milliseconds.to_bytes(TIME_BYTES, "big")
