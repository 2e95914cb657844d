"""Stripe's reasons in our words, and which of them another PSP may overrule.

Soft is what says something of the way to the issuer, or nothing at all: the issuer was not reached, did not answer in
time, asked for another try, or refused without a reason (do_not_honor, which issuers also give to a way they do not
trust). Whatever judges the card or its holder (funds, limits, loss, fraud, expiry, a plain "declined") would be judged
the same again, and a card tester must not get a second chance from us. The codes are those of docs.stripe.com/declines
and docs.stripe.com/error-codes; one we do not know is a plain no, for good.
"""

from __future__ import annotations

from typing import Final

from shared.domain.outcomes import Declined
from shared.domain.outcomes import DeclineReason as No

_REASONS: Final[dict[No, tuple[str, ...]]] = {
    No.INSUFFICIENT_FUNDS: ("insufficient_funds",),
    No.EXPIRED_CARD: ("expired_card", "expired_payment_method", "invalid_expiry_month", "invalid_expiry_year"),
    No.INCORRECT_CVC: ("incorrect_cvc", "invalid_cvc"),
    No.INVALID_CARD: (
        "incorrect_number", "invalid_number", "invalid_account", "new_account_information_available",
        "card_not_supported", "invalid_card_type",
    ),
    No.LOST_OR_STOLEN: ("lost_card", "stolen_card", "pickup_card", "restricted_card"),
    No.SUSPECTED_FRAUD: ("fraudulent", "merchant_blacklist", "security_violation"),
    No.DO_NOT_HONOR: ("do_not_honor",),
    No.LIMIT_EXCEEDED: (
        "card_velocity_exceeded", "withdrawal_count_limit_exceeded", "card_decline_rate_limit_exceeded",
        "charge_exceeds_source_limit", "charge_exceeds_transaction_limit",
    ),
    No.ISSUER_UNAVAILABLE: (
        "issuer_not_available", "try_again_later", "processing_error", "reenter_transaction", "approve_with_id",
        "payment_method_provider_timeout",
    ),
    No.AUTHENTICATION_FAILED: (
        "authentication_required", "authentication_failure", "payment_intent_authentication_failure",
    ),
    No.SHOPPER_CANCELLED: ("payment_method_customer_decline", "payment_intent_payment_attempt_expired"),
}  # fmt: skip
_REASON_OF: Final = {code: reason for reason, codes in _REASONS.items() for code in codes}
_SOFT: Final = frozenset({No.ISSUER_UNAVAILABLE, No.DO_NOT_HONOR})


def declined(code: str | None, decline_code: str | None, reference: str | None = None) -> Declined:
    """The no that Stripe's *code*, and the issuer's *decline_code* where there is one, stand for."""
    reason = _REASON_OF.get(decline_code or "") or _REASON_OF.get(code or "") or No.GENERIC
    return Declined(reason, reference, soft=reason in _SOFT)
