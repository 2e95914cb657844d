"""What every code of the contract says to a shopper: what happened, whether money moved, and what to do now.

One table a kind of answer; a test holds them against every code there is, so that none is shown as it is spelled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from shared.client import CheckoutResult
from shared.domain.outcomes import DeclineReason
from shared.domain.states import CheckoutCode

NOTHING_TAKEN: Final = "Nothing was charged."


@dataclass(frozen=True, slots=True)
class Said:
    """A headline and a sentence or two. *tone*: how the page is coloured."""

    title: str
    text: str
    tone: str = "live"


_NEW_PRICES: Final = Said(
    "Our prices were renewed",
    f"This offer was open for too long. {NOTHING_TAKEN} Here it is again: please choose once more.",
    "bad",
)
_TAKEN: Final = Said(
    "This offer is taken",
    f"It was ordered already, perhaps by you in another tab. {NOTHING_TAKEN} Here is a new one.",
    "bad",
)
_NOT_NOW: Final = Said("This is not for sale now", f"{NOTHING_TAKEN} Please choose from what is shown.", "bad")
_OTHER_CARD: Final = Said("This stored card cannot be used", f"{NOTHING_TAKEN} Please choose another card.", "bad")
_LOOK_AGAIN: Final = Said(
    "Please look at your card again",
    f"Its number, its month and year, or its code cannot be right. {NOTHING_TAKEN}",
    "bad",
)
TOO_OFTEN: Final = Said(
    "Too many tries",
    f"So many cards were declined, or orders sent, that no more are taken for a while. {NOTHING_TAKEN}",
    "bad",
)
NOT_HEARD: Final = Said(
    "One moment",
    "We did not hear in time whether your order was taken. Load this page again: that sends the very same order, and "
    "it is made and paid only once.",
)
_OURS: Final = Said(
    "We could not take this order", f"That is our fault, not yours. {NOTHING_TAKEN} Please try again.", "bad"
)

OF_REFUSALS: Final[Mapping[str, Said]] = {
    "OFFER_EXPIRED": _NEW_PRICES,
    "OFFER_NOT_FOUND": _NEW_PRICES,
    "OFFER_ALREADY_ORDERED": _TAKEN,
    "OFFER_NOT_PURCHASABLE": _NOT_NOW,
    "OFFER_ITEM_NOT_FOUND": _NOT_NOW,
    "PAYMENT_METHOD_NOT_FOUND": _OTHER_CARD,
    "PAYMENT_METHOD_INACTIVE": _OTHER_CARD,
    "PROVIDER_NOT_AVAILABLE": Said("Cards are not taken now", f"{NOTHING_TAKEN} Please come back later.", "bad"),
    "INVALID_CARD": _LOOK_AGAIN,
    "INVALID_REQUEST": _LOOK_AGAIN,
    "IDEMPOTENCY_CONFLICT": Said(
        "This form was sent before",
        "What was sent first stands; the second was not taken. To buy something else, use the fresh form below.",
        "bad",
    ),
}
"""By messageCode, of an order that was not taken; whatever else there is, no shopper can help it (_OURS)."""

_DECLINED: Final[Mapping[DeclineReason, str]] = {
    DeclineReason.GENERIC: "Your bank declined this card.",
    DeclineReason.INSUFFICIENT_FUNDS: "There is not enough money on this card.",
    DeclineReason.EXPIRED_CARD: "This card has expired.",
    DeclineReason.INCORRECT_CVC: "The security code is not this card's.",
    DeclineReason.INVALID_CARD: "There is no such card.",
    DeclineReason.LOST_OR_STOLEN: "Your bank declined this card.",
    DeclineReason.SUSPECTED_FRAUD: "Your bank declined this card.",
    DeclineReason.DO_NOT_HONOR: "Your bank declined this card. It may tell you why.",
    DeclineReason.LIMIT_EXCEEDED: "This payment is above the card's limit.",
    DeclineReason.ISSUER_UNAVAILABLE: "Your bank could not be reached.",
    DeclineReason.AUTHENTICATION_FAILED: "Your bank could not confirm that it was you.",
    DeclineReason.SHOPPER_CANCELLED: "You cancelled the payment at your bank.",
    DeclineReason.METHOD_GONE: "This stored card is no longer known. Please type it again.",
    DeclineReason.NO_PROVIDER: "Cards are not taken now.",
}
"""A thief is not told that a card was reported stolen or looks like fraud: the bank declined it, as many."""
_TRY: Final = f"{NOTHING_TAKEN} Please try another card."
OF_FAILURES: Final[Mapping[str, Said]] = {
    "CARD_DECLINED": Said("The card was declined", _TRY, "bad"),
    "PAYMENT_REFUSED": Said("The payment was refused", _TRY, "bad"),
    "OFFER_EXPIRED": Said("The offer has expired", f"Your order came too late for it. {NOTHING_TAKEN}", "bad"),
    "OFFER_ALREADY_ORDERED": Said("This offer is taken", f"Another order has it. {NOTHING_TAKEN}", "bad"),
    "CARD_DATA_UNAVAILABLE": Said(
        "Please type your card again", f"We keep a card for minutes only, and this took longer. {NOTHING_TAKEN}", "bad"
    ),
    "CHALLENGE_EXPIRED": Said(
        "Your bank was not answered in time",
        f"It asked you to confirm the payment and heard nothing. {NOTHING_TAKEN}",
        "bad",
    ),
    "CHALLENGE_FAILED": Said(
        "The payment was not confirmed", f"You, or your bank, said no to it. {NOTHING_TAKEN}", "bad"
    ),
    "CANCELLED": Said("The order was cancelled", "You were not charged, or are given everything back.", "bad"),
}
"""By the word that `message` of a failed order begins with (contract section 3)."""
_FAILED: Final = Said("The order did not go through", "You were not charged, or are given everything back.", "bad")

_OF_CODES: Final[Mapping[str, Said]] = {
    CheckoutCode.PROCESSING: Said("One moment", "We have your order and are paying for it."),
    CheckoutCode.CHALLENGED: Said(
        "Your bank asks you to confirm",
        "You are taken there and come back by yourself. Were you there already? Then this page changes in a moment.",
        "warn",
    ),
    CheckoutCode.DONE: Said("Thank you, it is paid", "Your order is complete.", "good"),
}


def of_refusal(code: str) -> Said:
    """What an order that was not taken says, by its messageCode."""
    return OF_REFUSALS.get(code, _OURS)


def of_order(now: CheckoutResult) -> Said:
    """What an order says that stands where *now* tells; a code newer than this page is under way."""
    if now.code == CheckoutCode.FAILED:
        return of_failure(now.message or "")
    return _OF_CODES.get(now.code, _OF_CODES[CheckoutCode.PROCESSING])


def of_failure(message: str) -> Said:
    """What a failed order says, by its message: a word, and a reason behind a colon where there is one."""
    word, _, reason = message.partition(": ")
    said = OF_FAILURES.get(word, _FAILED)
    if reason in _DECLINED:
        return Said(said.title, f"{_DECLINED[DeclineReason(reason)]} {said.text}", said.tone)
    return said
