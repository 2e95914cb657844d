"""The shapes an answer about a payment can have; the type checker counts them.

Unknown is never failed: a timeout, a reset or a 5xx is Unanswered, and only a look-up, the same request under
the same key or a verified webhook ends the doubt. NotSent and Absent are proofs, not guesses.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from shared.domain.money import Money


class DeclineReason(StrEnum):
    """Why a PSP said no, in our words; a PSP's raw text never leaves its adapter."""

    GENERIC = "generic_decline"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    EXPIRED_CARD = "expired_card"
    INCORRECT_CVC = "incorrect_cvc"
    INVALID_CARD = "invalid_card"
    LOST_OR_STOLEN = "lost_or_stolen"
    SUSPECTED_FRAUD = "suspected_fraud"
    DO_NOT_HONOR = "do_not_honor"
    LIMIT_EXCEEDED = "limit_exceeded"
    ISSUER_UNAVAILABLE = "issuer_unavailable"
    AUTHENTICATION_FAILED = "authentication_failed"  # The shopper failed the challenge.
    SHOPPER_CANCELLED = "shopper_cancelled"
    METHOD_GONE = "method_gone"  # The PSP no longer knows the kept method.
    NO_PROVIDER = "no_provider"  # No PSP of the tenant may take this payment.


@dataclass(frozen=True, slots=True)
class KeptMethod:
    """What a PSP gives back when it kept a payment method: the token is ours to know, never the caller's."""

    token: str
    masked_number: str | None
    card_type: str | None
    expire_year: str | None
    expire_month: str | None

    def __repr__(self) -> str:
        return f"KeptMethod({self.masked_number})"


@dataclass(frozen=True, slots=True)
class Challenge:
    """What the shopper must do; becomes redirectInstructions (contract section 3)."""

    redirect_url: str | None
    html_content: str | None = None
    three_d_identifier: str | None = None


@dataclass(frozen=True, slots=True)
class Captured:
    """The PSP holds the money for us."""

    reference: str
    money: Money
    kept: KeptMethod | None = None


@dataclass(frozen=True, slots=True)
class Declined:
    """The PSP said no for good; soft when another PSP may say yes. Without a reference: it made no charge to say so of,
    which of an earlier request under the same key proves nothing."""

    reason: DeclineReason
    reference: str | None = None
    soft: bool = False


@dataclass(frozen=True, slots=True)
class Challenged:
    """The PSP waits for the shopper: for *patience*, or None: as long as any challenge may stay open. Without a
    reference: its PSP names the charge once the shopper has acted."""

    reference: str | None
    challenge: Challenge
    patience: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Pending:
    """The PSP took the payment and will know later, at most *patience* from now."""

    reference: str
    patience: timedelta


PACED: Final = "paced"
"""Why a PSP did nothing that it may do later: it said 429, or we kept the call back before it could."""


@dataclass(frozen=True, slots=True)
class Unanswered:
    """Nobody told us: the PSP may or may not hold money."""

    why: str
    retry_after: timedelta | None = None
    """When there will be an answer to the question, where anybody knows: it was put off and not asked."""
    known_in: timedelta | None = None
    """When asking again will tell for certain, where that is known: no silence, so it is not asked ever more slowly."""


@dataclass(frozen=True, slots=True)
class NotSent:
    """Proof that nothing reached the PSP (its address refused the connection, or it refused to start: 429)."""

    why: str
    retry_after: timedelta | None = None
    """When it may be sent, where anybody knows: the PSP said so, or it has a place in the row of its account."""


@dataclass(frozen=True, slots=True)
class Absent:
    """A look-up's answer: the PSP has no such charge."""


@dataclass(frozen=True, slots=True)
class Returned:
    """The charge exists and its money went back, voided, cancelled or refunded: *money* of it, or None: all."""

    reference: str
    money: Money | None = None
    refunded: bool | None = None
    """Whether it was refunded after it was taken or, False, came to nothing (voided, cancelled, declined); None where
    whoever tells it does not know."""
    asked_as: str | None = None
    """What whoever asked for it called their request; None: its PSP does not tell."""


@dataclass(frozen=True, slots=True)
class StillHeld:
    """The PSP did not give back what it was asked for, though it had taken that in hand or had said it was done:
    *money* of the charge, or None: it does not say how much."""

    reference: str
    money: Money | None = None
    asked_as: str | None = None
    """What whoever asked for it called their request; None: its PSP does not tell."""
    was_done: bool | None = None
    """Whether the PSP had said that it was done; None: it does not tell."""


PaymentOutcome = Captured | Declined | Challenged | Pending | Unanswered | NotSent
LookUpOutcome = Captured | Declined | Challenged | Pending | Unanswered | Absent | Returned | StillHeld
# Of a void or refund. Captured: it could not be taken back (yet). Pending: taken in hand, and told of later.
ReturnOutcome = Returned | Captured | Pending | Unanswered
KeepOutcome = KeptMethod | Declined | Unanswered | NotSent  # Of storing a card without a charge.


def reference_of(outcome: PaymentOutcome | LookUpOutcome | None) -> str | None:
    """The charge *outcome* speaks of; None for silence, and for a no that made no charge."""
    match outcome:
        case None | Unanswered() | NotSent() | Absent():
            return None
        case told:
            return told.reference
