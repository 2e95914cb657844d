"""What two thousand shoppers pay with, and how each of their orders must end.

The cards are those of deploy/sandbox/README.md. Whatever takes long to end stands first, so that it runs beside all
the rest instead of after it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from tests.support.storefront import DONE, FAILED
from tests.support.wire import GOOD_CARD


@dataclass(frozen=True, slots=True)
class Kind:
    """One way to pay. *card* None: another channel, or a stored card (*stored*: what the kept card was)."""

    name: str
    share: int
    ends: str = DONE
    message: str | None = None
    card: str | None = None
    stored: str | None = None
    channel: str = "CreditCard"
    decision: str | None = None  # What the shopper presses, if the payment leads to a page.
    keeps: bool = False


def _declined(reason: str, card: str) -> Kind:
    return Kind(reason, 25, FAILED, f"CARD_DECLINED: {reason}", card)


SLOWEST: Final = (
    # Nothing reached the ledger, and only after 60 s can no late request become a charge any more.
    Kind("http500", 4, card="4000000000000119"),
    Kind("drop", 2, card="4000007700000133"),
    Kind("timeoutBefore", 2, card="4000007700000091"),
    Kind("3ds abandoned", 60, FAILED, "CHALLENGE_EXPIRED", "4000007700000034"),
)

OTHERS: Final = (
    # Each holds one of sixteen payment processes for 10 s, so they are few.
    Kind("timeoutAfter", 6, card="4000007700000109"),
    Kind("dribble", 2, card="4000007700000216"),
    Kind("http500After", 10, card="4000007700000083"),
    Kind("dropAfter", 10, card="4000007700000141"),
    Kind("http429", 2, card="4000007700000117"),  # Each has the PSP asked half as often for a while.
    Kind("malformed", 5, card="4000007700000190"),
    Kind("otherAmount", 5, card="4000007700000166"),
    Kind("otherCurrency", 5, card="4000007700000174"),
    Kind("otherReference", 5, card="4000007700000182"),
    Kind("huge", 3, card="4000007700000208"),
    Kind("slow", 15, card="4000007700000125"),
    _declined("generic_decline", "4000000000000002"),
    _declined("insufficient_funds", "4000000000009995"),
    _declined("expired_card", "4000000000000069"),
    _declined("incorrect_cvc", "4000000000000127"),
    _declined("lost_or_stolen", "4000000000009987"),
    _declined("suspected_fraud", "4100000000000019"),
    _declined("limit_exceeded", "4000000000006975"),
    _declined("do_not_honor", "4000007700000018"),
    _declined("issuer_unavailable", "4000007700000026"),
    Kind("3ds approved", 120, card="4000002760003184", decision="approve"),
    Kind("3ds approved and kept", 30, card="4000002760003184", decision="approve", keeps=True),
    Kind("3ds declined", 60, FAILED, "CHALLENGE_FAILED", "4000002760003184", decision="decline"),
    Kind("3ds cancelled", 20, FAILED, "CHALLENGE_FAILED", "4000000000003220", decision="cancel"),
    Kind("3ds, issuer declines", 25, FAILED, "CARD_DECLINED: generic_decline", "4000008400001629", decision="approve"),
    Kind("3ds passes alone", 40, card="4000007700000042"),
    Kind("3ds fails alone", 20, FAILED, "CHALLENGE_FAILED", "4000007700000059"),
    Kind("pending, captured", 30, card="4000007700000067"),
    Kind("pending, declined", 15, FAILED, "CARD_DECLINED: insufficient_funds", "4000007700000075"),
    Kind("stored card", 250, stored=GOOD_CARD),
    Kind("stored card, declined", 20, FAILED, "CARD_DECLINED: generic_decline", stored="4000000000000341"),
    Kind("stored card, 3ds", 20, stored="4000002760003184", decision="approve"),
    Kind("PayPal", 60, channel="PayPal", decision="approve"),
    Kind("PayPal cancelled", 15, FAILED, "CHALLENGE_FAILED", channel="PayPal", decision="cancel"),
    Kind("Klarna", 40, channel="Klarna", decision="approve"),
    Kind("Klarna declined", 15, FAILED, "CHALLENGE_FAILED", channel="Klarna", decision="decline"),
    Kind("Bank", 30, channel="Bank", decision="approve"),
    Kind("SEPA", 40, channel="SEPA"),
    Kind("kept", 150, card="5555555555554444", keeps=True),
)

GOOD: Final = ("4111111111111111", "4242424242424242", "2223003122003222", "378282246310005", "6011111111111117")


def of(count: int) -> list[Kind]:
    """*count* ways to pay, slow ones first, the plain good cards making up what the table leaves over."""
    named = [kind for kind in (*SLOWEST, *OTHERS) for _ in range(kind.share)]
    assert len(named) < count, "the table is for larger crowds"
    plain = [Kind("good card", 1, card=GOOD[number % len(GOOD)]) for number in range(count - len(named))]
    slow = sum(kind.share for kind in SLOWEST)
    return [*named[:slow], *_spread(named[slow:] + plain)]


def _spread(kinds: list[Kind]) -> list[Kind]:
    """The same, neighbours mixed, in the same order in every run."""
    mixed = list(kinds)
    random.Random(2).shuffle(mixed)
    return mixed
