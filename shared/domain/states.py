"""Which moves an order may make, and what the public may hear of each state.

The states name what is true; who may move an order is the step that holds its lease, or, for a fact about
money, whoever brings the fact (worker, webhook, browser return or look-up: all end in one settle function).
Every move of the system is a row of TRANSITIONS; a pair that is not there is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class OrderState(StrEnum):
    """Where an order stands."""

    ADMITTED = "admitted"  # Durable; nobody has worked on it.
    OFFER_LOCKED = "offer_locked"  # Holds its offer and its price; waits to be paid.
    PAYING = "paying"  # A worker holds the lease; a PSP may have been called.
    CONFIRMING = "confirming"  # Somebody was called and nobody told us the verdict.
    CHALLENGE = "challenge"  # The shopper must act (3DS, wallet, bank).
    CAPTURED = "captured"  # The money is ours; the card may still have to be stored.
    DONE = "done"
    FAILED = "failed"


class OrderEvent(StrEnum):
    """What happened to an order."""

    ADMITTED = "admitted"  # The first row of its story; it moves nothing.
    OFFER_HELD = "offer_held"
    OFFER_REFUSED = "offer_refused"
    NOTHING_TO_PAY = "nothing_to_pay"  # The cart costs nothing (a promotion of 100 %): no PSP is asked.
    PAYMENT_STARTED = "payment_started"
    PAYMENT_RESUMED = "payment_resumed"  # Sent again under its key: its worker died, or its PSP cannot be asked.
    PAYMENT_NOT_MADE = "payment_not_made"  # Proven: the PSP holds nothing. The order may be paid again.
    PAYMENT_UNANSWERED = "payment_unanswered"
    PAYMENT_PENDING = "payment_pending"  # The PSP will know later (SEPA, bank transfer).
    PAYMENT_CAPTURED = "payment_captured"
    PAYMENT_DECLINED = "payment_declined"
    PAYMENT_DECLINED_SOFT = "payment_declined_soft"  # Another PSP may say yes, and this one provably holds nothing.
    SHOPPER_CHALLENGED = "shopper_challenged"
    CHALLENGE_EXPIRED = "challenge_expired"  # The PSP proved that what was given up, or cancelled, holds no money.
    CARD_LOST = "card_lost"  # The vault no longer has the card and no attempt is open.
    CANCELLED = "cancelled"  # It took its workers down, waited for too long, or was called off; no attempt is open.
    CALLED_OFF = "called_off"  # An operator ended a paid order before it was done: its money is on its way back.
    METHOD_STORED = "method_stored"
    STORING_SKIPPED = "storing_skipped"  # Nothing to store, or storing failed: it never un-sells an order.


class CheckoutCode(StrEnum):
    """The published status codes (contract section 3)."""

    PROCESSING = "CHECK_OUT_PROCESSING"
    CHALLENGED = "CHECK_OUT_3DS_REQUIRED"
    DONE = "CHECK_OUT_DONE"
    FAILED = "CHECK_OUT_FAILED"


S, E = OrderState, OrderEvent

TRANSITIONS: Final[Mapping[tuple[OrderState, OrderEvent], OrderState]] = {
    (S.ADMITTED, E.OFFER_HELD): S.OFFER_LOCKED,
    (S.ADMITTED, E.OFFER_REFUSED): S.FAILED,
    (S.ADMITTED, E.CARD_LOST): S.FAILED,
    (S.ADMITTED, E.CANCELLED): S.FAILED,
    (S.OFFER_LOCKED, E.NOTHING_TO_PAY): S.CAPTURED,
    (S.OFFER_LOCKED, E.PAYMENT_STARTED): S.PAYING,
    (S.OFFER_LOCKED, E.PAYMENT_CAPTURED): S.CAPTURED,  # An earlier attempt, told by a late webhook.
    (S.OFFER_LOCKED, E.PAYMENT_DECLINED): S.FAILED,  # No PSP may take it, or none but those that said no.
    (S.OFFER_LOCKED, E.CARD_LOST): S.FAILED,
    (S.OFFER_LOCKED, E.CANCELLED): S.FAILED,
    (S.PAYING, E.PAYMENT_RESUMED): S.PAYING,
    (S.PAYING, E.PAYMENT_NOT_MADE): S.OFFER_LOCKED,
    (S.PAYING, E.PAYMENT_UNANSWERED): S.CONFIRMING,
    (S.PAYING, E.PAYMENT_PENDING): S.CONFIRMING,
    (S.PAYING, E.PAYMENT_CAPTURED): S.CAPTURED,
    (S.PAYING, E.PAYMENT_DECLINED): S.FAILED,
    (S.PAYING, E.PAYMENT_DECLINED_SOFT): S.OFFER_LOCKED,
    (S.PAYING, E.SHOPPER_CHALLENGED): S.CHALLENGE,
    (S.PAYING, E.CHALLENGE_EXPIRED): S.FAILED,  # Its money was given back at the PSP while it was being paid.
    (S.PAYING, E.CARD_LOST): S.FAILED,
    (S.PAYING, E.CANCELLED): S.FAILED,
    (S.CONFIRMING, E.PAYMENT_RESUMED): S.PAYING,  # Its PSP cannot be asked: the same request is sent again.
    (S.CONFIRMING, E.PAYMENT_NOT_MADE): S.OFFER_LOCKED,
    (S.CONFIRMING, E.PAYMENT_UNANSWERED): S.CONFIRMING,
    (S.CONFIRMING, E.PAYMENT_PENDING): S.CONFIRMING,
    (S.CONFIRMING, E.PAYMENT_CAPTURED): S.CAPTURED,
    (S.CONFIRMING, E.PAYMENT_DECLINED): S.FAILED,
    (S.CONFIRMING, E.PAYMENT_DECLINED_SOFT): S.OFFER_LOCKED,
    (S.CONFIRMING, E.SHOPPER_CHALLENGED): S.CHALLENGE,
    (S.CONFIRMING, E.CHALLENGE_EXPIRED): S.FAILED,
    (S.CHALLENGE, E.PAYMENT_UNANSWERED): S.CONFIRMING,
    (S.CHALLENGE, E.PAYMENT_PENDING): S.CONFIRMING,
    (S.CHALLENGE, E.PAYMENT_CAPTURED): S.CAPTURED,
    (S.CHALLENGE, E.PAYMENT_DECLINED): S.FAILED,
    (S.CHALLENGE, E.CHALLENGE_EXPIRED): S.FAILED,
    (S.CAPTURED, E.METHOD_STORED): S.DONE,
    (S.CAPTURED, E.STORING_SKIPPED): S.DONE,
    (S.CAPTURED, E.CALLED_OFF): S.CONFIRMING,  # Until the PSP proves that it holds nothing any more.
}

TERMINAL: Final = frozenset({S.DONE, S.FAILED})

PAID_OR_ENDED: Final = TERMINAL | {S.CAPTURED}
"""States in which no payment is wanted any more: whatever an attempt still brings has no right to stay."""

NEEDS_NO_CARD: Final = frozenset({S.CHALLENGE, S.CAPTURED, S.DONE, S.FAILED})
"""States in which no further attempt can need the shopper's card: it leaves the vault. So it does where a payment that
is confirming is known to be pending (Order.needs_no_card)."""

CODE_OF: Final[Mapping[OrderState, CheckoutCode]] = {
    S.ADMITTED: CheckoutCode.PROCESSING,
    S.OFFER_LOCKED: CheckoutCode.PROCESSING,
    S.PAYING: CheckoutCode.PROCESSING,
    S.CONFIRMING: CheckoutCode.PROCESSING,
    S.CHALLENGE: CheckoutCode.CHALLENGED,
    S.CAPTURED: CheckoutCode.PROCESSING,  # Captured is not done: the card may still have to be stored.
    S.DONE: CheckoutCode.DONE,
    S.FAILED: CheckoutCode.FAILED,
}


class IllegalMove(RuntimeError):
    """An event met a state that has no row for it: a bug, never a race (a lost race is None)."""


def next_state(state: OrderState, event: OrderEvent) -> OrderState:
    """The state after *event*; raises IllegalMove for a pair that is not in the table."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise IllegalMove(f"{event} has no move out of {state}") from None


def may(state: OrderState, event: OrderEvent) -> bool:
    """Whether *event* moves an order out of *state* at all."""
    return (state, event) in TRANSITIONS
