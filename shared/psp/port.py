"""What we ask of any payment service provider: a handful of verbs with closed answer types.

A charge has one reference: the same name in every answer, event and listing of its PSP, whatever else that PSP calls
its parts. Another reference under the same key is another charge, and is given back. A PSP may name a charge only once
its shopper has acted; until then it has none.

Not every PSP can be asked (Capabilities.looks_up): one that cannot is sent the same request again under its key, and
tells the rest by events. It may also take a return in hand and tell of it later (Pending).

An adapter never raises for what a PSP or a network can do; it answers Unanswered or NotSent. It raises for our
own mistakes. No verb is called with a database transaction open, and every verb ends by its deadline
(connect 1 s, read 10 s, total 15 s), also against an answer that dribbles or never ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Protocol

from shared.domain.cards import Card
from shared.domain.money import Money
from shared.domain.outcomes import KeepOutcome, LookUpOutcome, PaymentOutcome, ReturnOutcome, Unanswered

CONNECT_TIMEOUT_S: Final = 1.0
"""A PSP that does not take a connection within a second is away; the order waits."""
READ_TIMEOUT_S: Final = 10.0
"""Issuers answer within 10 s or not at all."""
TOTAL_TIMEOUT_S: Final = 15.0
"""However an answer dribbles, a call is over after this long."""
ANSWER_LIMIT_BYTES: Final = 1 << 20
"""No PSP answer we use is larger than a few KiB; more than 1 MiB is not an answer."""


class Channel(StrEnum):
    """paymentChannel of the contract."""

    CREDIT_CARD = "CreditCard"
    PAYPAL = "PayPal"
    KLARNA = "Klarna"
    SEPA = "SEPA"
    BANK = "Bank"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What one PSP can do; the router and the steps read it, so that no step knows a PSP by name."""

    channels: frozenset[Channel]
    remembers_declines: bool
    """Whether a repeat under the key of a declined charge is answered with that decline."""
    key_lifetime: timedelta
    longest_processing: timedelta
    """After this long a request that was cut off can no longer turn into a charge."""
    currencies: frozenset[str] | None = None
    """ISO 4217 codes it takes; None: any."""
    looks_up: bool = True
    """Whether it tells what became of a charge by our key. One that does not is asked by the same request under it."""
    proves_absence: bool = True
    """Whether "no such charge" is proof, or its index may be behind: then nobody else is asked to pay instead."""
    lists_charges: bool = True
    """Whether its books can be read, a page at a time."""
    voids: bool = True
    """Whether a capture can be cancelled for nothing before it is settled; else it is refunded."""
    keeps_methods: bool = True
    """Whether it keeps a card for the shopper's next order."""
    calls_per_s: float | None = None
    """Calls a second it lets an account make unless agreed otherwise (AccountTerms); None: it set no limit."""
    calls_for_card: int = 0
    """Calls more that a typed card takes, before the one that charges or keeps it."""
    calls_for_keeping: int = 0
    """Calls more that it takes to keep a method."""
    brings: frozenset[str] = frozenset()
    """What a shopper's browser brings back from its page (names of query or form fields) without which the PSP does not
    finish the payment; it is asked with them (ChargeQuery.brought)."""
    acknowledges_with: str | None = None
    """The body this PSP wants in the answer to a webhook; None: any answer with a 2xx will do."""

    def calls_of(self, *, card: bool, keeps: bool) -> int:
        """How many calls a charge takes, with a typed card or without, and with its method to be kept or not."""
        return 1 + self.calls_for_card * card + self.calls_for_keeping * keeps


@dataclass(frozen=True, slots=True)
class ChargeRequest:
    """One attempt to take one amount. *psp_key* makes the PSP answer a repeat with the first verdict."""

    psp_key: str
    merchant_reference: str
    money: Money
    channel: Channel
    customer_urn: str
    return_url: str
    card: Card | None = None
    token: str | None = None
    keep_method: bool = False
    ip_address: str | None = None


@dataclass(frozen=True, slots=True)
class ChargeQuery:
    """Which attempt a look-up means: the PSP's reference where known, else ours plus the key we sent."""

    psp_key: str
    merchant_reference: str
    reference: str | None = None
    brought: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What the shopper's browser brought back for it (Capabilities.brings)."""


@dataclass(frozen=True, slots=True)
class ChargeRecord:
    """One charge as the PSP's own books show it."""

    psp_key: str
    merchant_reference: str
    reference: str
    money: Money
    outcome: LookUpOutcome
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ChargePage:
    """A page of the PSP's books, oldest charge first; *next* begins the page after it, None where there is none."""

    charges: tuple[ChargeRecord, ...]
    next: str | None


class EventKind(StrEnum):
    """What a PSP event tells of."""

    CHARGE = "charge"
    DISPUTED = "disputed"  # Money that counts as ours is taken from us, or never came: for people, who are alarmed.
    OTHER = "other"  # Nothing we act on; stored and acknowledged.


@dataclass(frozen=True, slots=True)
class PspEvent:
    """A verified webhook: which charge it speaks of and what it says of it.

    *psp_key* may be a hint that its PSP does not sign: it counts only where *merchant_reference* agrees.
    """

    event_id: str
    kind: EventKind
    merchant_reference: str | None
    psp_key: str | None
    outcome: LookUpOutcome | None


class BadSignature(ValueError):
    """A webhook whose signature or time stamp does not verify: refused before it is parsed, leaves no row."""


class Psp(Protocol):
    """One account at one PSP."""

    @property
    def capabilities(self) -> Capabilities:
        """What this PSP can do."""
        ...

    def charge(self, request: ChargeRequest) -> PaymentOutcome:
        """Take the amount of *request*, or say what stands in the way.

        NotSent, and Declined without a reference, say that this very request made no charge; of an earlier one under
        the same key they say nothing. Either rests on the PSP's own document: a proxy's page is Unanswered.
        """
        ...

    def look_up(self, query: ChargeQuery) -> LookUpOutcome:
        """What the PSP knows of one attempt, what its shopper brought back included."""
        ...

    def charges_since(self, since: datetime, *, after: str | None = None) -> ChargePage | Unanswered:
        """A page of this account's charges made since *since*, whoever made them; *after* is a page's *next*."""
        ...

    def void(self, reference: str, *, psp_key: str) -> ReturnOutcome:
        """Cancel an open or captured charge; idempotent under *psp_key*. Pending: taken in hand, and told of later."""
        ...

    def refund(self, reference: str, money: Money, *, psp_key: str) -> ReturnOutcome:
        """Give *money* of a capture back, or what is left of it where a part went back before; idempotent under
        *psp_key*. Captured when there never was that much to give. To learn what is left takes a second call.
        Pending: taken in hand, and told of later."""
        ...

    def keep_card(self, card: Card, *, customer_urn: str, psp_key: str) -> KeepOutcome:
        """Tokenize a card without charging it."""
        ...

    def forget_token(self, token: str) -> bool:
        """Remove a kept method; True once the PSP no longer has it, False if nobody answered."""
        ...

    def read_event(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> PspEvent:
        """Verify *body* as sent and say what it tells; raises BadSignature."""
        ...


@dataclass(frozen=True, slots=True)
class AccountTerms:
    """What a tenant agreed with a PSP for one account; the router and the pacing read it."""

    currencies: frozenset[str] | None = None
    """ISO 4217 codes this account takes; None: what its PSP takes."""
    home_currencies: frozenset[str] = frozenset()
    """Currencies it is at home in, so that shoppers' banks see a charge from their own market."""
    fee_bps: int = 0
    """The share of the amount the PSP keeps, in hundredths of a percent."""
    fee_minor: int = 0
    """What it keeps of every charge on top, in minor units of the charge's currency."""
    calls_per_s: float | None = None
    """Calls a second the PSP lets this account make; None: its adapter's default."""


@dataclass(frozen=True, slots=True)
class Account:
    """A tenant's account at a PSP, as the router and the factory need it."""

    tenant_id: str
    provider: str
    account_id: str
    adapter: str
    base_url: str
    channels: frozenset[Channel]
    credentials: Mapping[str, str] = field(repr=False)
    terms: AccountTerms = AccountTerms()
