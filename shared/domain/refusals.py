"""Every reason for which we refuse a call, by its published name.

The message names the fields at fault by path and what to do next, never a value of the request (contract
section 1). Which HTTP status a name gets is told once, in api/errors.py.
"""

from __future__ import annotations

from typing import ClassVar


class Refusal(Exception):
    """A call we understood and refuse. *message* is shown to the caller."""

    message_code: ClassVar[str]

    def __init__(self, message: str = "") -> None:
        super().__init__(message or self.message_code)
        self.message = message


class InvalidRequest(Refusal):
    """A field fails; the message names its path."""

    message_code = "INVALID_REQUEST"


class InvalidCard(Refusal):
    """The card's number, expiry or cvc cannot be right."""

    message_code = "INVALID_CARD"


class Forbidden(Refusal):
    """The key is good but may not do this."""

    message_code = "FORBIDDEN"


class OfferExpired(Refusal):
    """Past expiresAt by the database's clock."""

    message_code = "OFFER_EXPIRED"


class OfferNotPurchasable(Refusal):
    """A showcase offer."""

    message_code = "OFFER_NOT_PURCHASABLE"


class OfferNotFound(Refusal):
    """Unknown, another tenant's, or another customer's."""

    message_code = "OFFER_NOT_FOUND"


class OfferAlreadyOrdered(Refusal):
    """Another live or done order holds this single-use offer."""

    message_code = "OFFER_ALREADY_ORDERED"


class OfferItemNotFound(Refusal):
    """An item, add-on parent or installment is not in the offer."""

    message_code = "OFFER_ITEM_NOT_FOUND"


class IdempotencyConflict(Refusal):
    """The same key with a different order; the message names the fields that differ."""

    message_code = "IDEMPOTENCY_CONFLICT"


class PaymentMethodNotFound(Refusal):
    """The stored method is unknown, deleted, or another customer's."""

    message_code = "PAYMENT_METHOD_NOT_FOUND"


class PaymentMethodInactive(Refusal):
    """The stored method is Inactive."""

    message_code = "PAYMENT_METHOD_INACTIVE"


class ProviderNotAvailable(Refusal):
    """The forced PSP is unknown, disabled or without this channel."""

    message_code = "PROVIDER_NOT_AVAILABLE"


class OrderNotFound(Refusal):
    """The tracking number is unknown or another tenant's: indistinguishable."""

    message_code = "ORDERED_ITEM_NOT_FOUND"


class CustomerNotFound(Refusal):
    """The customer is unknown to this tenant."""

    message_code = "CUSTOMER_NOT_FOUND"


class CardDeclined(Refusal):
    """The PSP refused to keep the card."""

    message_code = "CARD_DECLINED"


class NoOfferFound(Refusal):
    """The catalogue has nothing for this context."""

    message_code = "NO_OFFER_FOUND"


class InvalidPromotionCode(Refusal):
    """The promotion code is unknown or over."""

    message_code = "INVALID_PROMOTION_CODE"


class StorefrontNotFound(Refusal):
    """The storefront is not one of this tenant's, or must be named."""

    message_code = "STOREFRONT_NOT_FOUND"


class Unavailable(Refusal):
    """Something we need is away; the caller may come back after *retry_after_s* seconds."""

    message_code = "SERVICE_UNAVAILABLE"

    def __init__(self, message: str = "", *, retry_after_s: int = 2) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class PspUnavailable(Unavailable):
    """The PSP does not answer."""

    message_code = "PSP_UNAVAILABLE"


class RateLimited(Unavailable):
    """The key's bucket is empty."""

    message_code = "RATE_LIMITED"
