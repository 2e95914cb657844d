"""What the checker is given: three records of one run that do not trust each other, as plain values.

What the clients heard, what the PSP's ledger holds, what the database and the vault hold. How they were gathered is
no business of the rules (gather.py reads a running stack, a test may write them down).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

TERMINAL: Final = {"done": "CHECK_OUT_DONE", "failed": "CHECK_OUT_FAILED"}
"""The states in which an order ends, and the code a poller hears of each."""
LIVE: Final = "captured"
"""The state of a charge at the PSP in which it holds money for good."""
MAY_HOLD: Final = frozenset({"challenge", "pending"})
"""States of a charge in which money may still come."""
UNSETTLED: Final = frozenset({"open", "challenged", "pending", "returning"})
"""Outcomes of an attempt with which money is open (design: open money is one query)."""


@dataclass(frozen=True, slots=True)
class Call:
    """One POST of an order as its client saw it. *status* None: no answer came."""

    tenant: str
    key: str | None
    offer: str
    customer: str
    status: int | None
    tracking_number: str | None = None
    owed: tuple[int, str] | None = None
    """Minor units and currency by the offer the client was shown, where it reckoned them."""


@dataclass(frozen=True, slots=True)
class Poll:
    """One status as a client heard it; *version* from the ETag where there was one."""

    tracking_number: str
    code: str
    version: int | None = None


@dataclass(frozen=True, slots=True)
class Charge:
    """One charge of the PSP's ledger. Amounts in minor units."""

    reference: str
    account: str
    merchant_reference: str
    key: str
    amount: int
    currency: str
    state: str
    refunded: int
    created_at: datetime

    @property
    def net(self) -> int:
        """What the PSP holds of it for good."""
        return self.amount - self.refunded if self.state == LIVE else 0


@dataclass(frozen=True, slots=True)
class Order:
    """One row of orders."""

    tenant: str
    tracking_number: str
    state: str
    version: int
    offer: str
    customer: str
    correlation_id: str | None
    amount: int | None
    currency: str | None
    failure: str | None = None
    keeps_method: bool = False
    leased: bool = False

    @property
    def merchant_reference(self) -> str:
        """What the PSP calls it."""
        return self.correlation_id or self.tracking_number


@dataclass(frozen=True, slots=True)
class Event:
    """One row of order_events."""

    tracking_number: str
    version: int
    event: str
    state: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Attempt:
    """One row of payment_attempts."""

    tenant: str
    tracking_number: str
    number: int
    provider: str
    key: str
    outcome: str
    reference: str | None
    refunded: int = 0
    """What an operator gave back of its capture, in minor units."""


@dataclass(frozen=True, slots=True)
class Method:
    """One row of stored_methods."""

    tenant: str
    urn: str
    tracking_number: str | None


@dataclass(frozen=True, slots=True)
class Card:
    """One entry of the vault; *ttl_s* None: it would stay for ever."""

    tenant: str
    tracking_number: str
    ttl_s: float | None


@dataclass(frozen=True, slots=True)
class Database:
    """The tables the rules ask, at one moment."""

    orders: Sequence[Order] = ()
    events: Sequence[Event] = ()
    attempts: Sequence[Attempt] = ()
    methods: Sequence[Method] = ()
    keys: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """(tenant, idempotency key) -> tracking number."""
    holds: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """(tenant, offer) -> tracking number."""
    single_use: frozenset[tuple[str, str]] = frozenset()
    """(tenant, offer) of every offer that may be sold once."""
    tenant_of_account: Mapping[str, str] = field(default_factory=dict)
    parked: frozenset[tuple[str, str]] = frozenset()
    """(tenant, PSP key) of every PSP event that was stored and never settled."""


@dataclass(frozen=True, slots=True)
class Records:
    """Everything about one run, gathered once it came to rest."""

    calls: Sequence[Call] = ()
    polls: Sequence[Poll] = ()
    """In the order in which they were heard."""
    charges: Sequence[Charge] = ()
    database: Database = field(default_factory=Database)
    cards: Sequence[Card] = ()
    vault_ttl_s: float = 900.0


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken promise: the invariant's number, what it is about, and what was seen. Never a card or a key."""

    invariant: str
    about: str
    seen: str

    def __str__(self) -> str:
        return f"{self.invariant} {self.about}: {self.seen}"
