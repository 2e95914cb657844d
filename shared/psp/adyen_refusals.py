"""Why Adyen said no, in our words, and whether another PSP may say yes.

By its published codes: refusalReasonCode of a payment that was refused (docs.adyen.com, Refusal reasons) and errorCode
of a request that was not even tried (docs.adyen.com, Error codes). A code we do not know is a plain, final no.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from shared.domain.outcomes import Declined
from shared.domain.outcomes import DeclineReason as R


class Refusal(NamedTuple):
    """A no. *soft*: it came from this way to the issuer, or for no reason of the card's."""

    reason: R
    soft: bool = False


_REFUSED: Final[Mapping[str, Refusal]] = {
    "2": Refusal(R.DO_NOT_HONOR, soft=True),  # Refused: the issuer gives no reason.
    "3": Refusal(R.DO_NOT_HONOR, soft=True),  # Referral.
    "4": Refusal(R.ISSUER_UNAVAILABLE, soft=True),  # Acquirer error.
    "5": Refusal(R.LOST_OR_STOLEN),  # Blocked card.
    "6": Refusal(R.EXPIRED_CARD),
    "8": Refusal(R.INVALID_CARD),
    "9": Refusal(R.ISSUER_UNAVAILABLE, soft=True),
    "11": Refusal(R.AUTHENTICATION_FAILED),
    "12": Refusal(R.INSUFFICIENT_FUNDS),
    "14": Refusal(R.SUSPECTED_FRAUD),  # The acquirer's.
    "15": Refusal(R.SHOPPER_CANCELLED),
    "16": Refusal(R.SHOPPER_CANCELLED),
    "20": Refusal(R.SUSPECTED_FRAUD),  # Adyen's.
    "21": Refusal(R.ISSUER_UNAVAILABLE, soft=True),  # Not submitted.
    "22": Refusal(R.SUSPECTED_FRAUD),
    "24": Refusal(R.INCORRECT_CVC),
    "27": Refusal(R.DO_NOT_HONOR, soft=True),  # Declined non generic.
    "28": Refusal(R.LIMIT_EXCEEDED),
    "29": Refusal(R.LIMIT_EXCEEDED),
    "31": Refusal(R.SUSPECTED_FRAUD),  # The issuer's.
    "38": Refusal(R.AUTHENTICATION_FAILED),  # Asked for, and not part of the payment.
    "39": Refusal(R.AUTHENTICATION_FAILED),
    "42": Refusal(R.AUTHENTICATION_FAILED),
}
_NOT_TRIED: Final[Mapping[str, R]] = {
    "101": R.INVALID_CARD,
    "103": R.INCORRECT_CVC,
    "129": R.INVALID_CARD,  # Its expiry date.
    "140": R.INVALID_CARD,  # No month.
    "141": R.INVALID_CARD,  # No year.
    "800": R.METHOD_GONE,
    "803": R.METHOD_GONE,
}
GONE: Final = frozenset({"800", "803"})
"""errorCodes that say: there is no such stored method, of this shopper."""
IN_PROGRESS: Final = frozenset({"704"})
"""errorCodes of a key whose first request still runs, or was answered with what Adyen will not repeat."""


def refused(code: str | None, reference: str | None) -> Declined:
    """The no to a payment that was tried."""
    refusal = _REFUSED.get(code or "", Refusal(R.GENERIC))
    return Declined(refusal.reason, reference, refusal.soft)


def not_tried(code: str) -> Declined:
    """The no to a request of which no payment was made."""
    return Declined(_NOT_TRIED.get(code, R.GENERIC))
