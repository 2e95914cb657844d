"""What the fake holds: payments, stored methods, links, returns, and the answers its idempotency keys remember."""

from __future__ import annotations

import string
import threading
from dataclasses import dataclass, field
from secrets import choice
from typing import Any

from tests.support.adyen_fake.asks import Method


def new_reference() -> str:
    """Sixteen capitals and digits, as Adyen's references and stored methods are named."""
    return "".join(choice(string.ascii_uppercase + string.digits) for _ in range(16))


@dataclass(slots=True)
class Merchant:
    """One merchant account, and where its notifications go (None: nowhere)."""

    account: str
    api_key: str = field(repr=False)
    hmac_key: str = field(repr=False)
    webhook_url: str | None = None


@dataclass(slots=True)
class Stored:
    """A stored method."""

    id: str
    shopper: str
    method: Method = field(repr=False)


@dataclass(slots=True)
class Payment:
    """One payment. *state*: redirect, received, authorised, refused, cancelled."""

    merchant: Merchant
    reference: str
    value: int
    currency: str
    method: Method = field(repr=False)
    return_url: str
    metadata: dict[str, str]
    psp_reference: str = field(default_factory=new_reference)
    state: str = "received"
    shopper: str | None = None
    stores: bool = False
    stored: Stored | None = None
    returned: int = 0
    result: dict[str, Any] | None = None
    """What /payments/details answered."""


@dataclass(slots=True)
class Remembered:
    """The first answer under a key; none while its request runs."""

    status: int = 0
    body: dict[str, Any] | None = None


@dataclass(slots=True)
class Books:
    """Everything, under one lock."""

    merchants: dict[str, Merchant] = field(default_factory=dict)
    payments: list[Payment] = field(default_factory=list)
    stored: dict[str, Stored] = field(default_factory=dict)
    pages: dict[str, Payment] = field(default_factory=dict)
    brought: dict[str, tuple[Payment, str]] = field(default_factory=dict)
    """redirectResult: its payment and what its shopper decided."""
    keys: dict[tuple[str, str], Remembered] = field(default_factory=dict)
    """By account (Adyen: by company) and key."""
    lock: threading.RLock = field(default_factory=threading.RLock)

    def payment(self, psp_reference: str) -> Payment | None:
        """The payment of that reference."""
        return next((one for one in self.payments if one.psp_reference == psp_reference), None)
