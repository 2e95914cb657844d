"""The payment method Adyen stored with a payment, as our stored methods know one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from shared.domain.cards import Card, CardBrand, brand_of, mask
from shared.domain.outcomes import KeptMethod
from shared.psp.adyen_requests import token_of

_BRANDS: Final = {
    "visa": CardBrand.VISA,
    "mc": CardBrand.MASTERCARD,
    "amex": CardBrand.AMEX,
    "discover": CardBrand.DISCOVER,
    "diners": CardBrand.DINERS,
    "jcb": CardBrand.JCB,
    "maestro": CardBrand.MAESTRO,
    "cup": CardBrand.UNIONPAY,
}
_DIGITS: Final = {CardBrand.AMEX: 15, CardBrand.DINERS: 14}
_ID: Final = re.compile(r"[A-Za-z0-9]{1,64}")
_EXPIRY: Final = re.compile(r"(\d{1,2})/(\d{4})")


def kept_by(data: Mapping[str, Any], card: Card | None) -> KeptMethod | None:
    """What *data* (additionalData of a payment) says was stored; None if nothing.

    Its looks are those of *card* where we hold it, else what Adyen tells of it, which an account may have switched off.
    """
    stored_id = _text(data, "tokenization.storedPaymentMethodId")
    shopper = _text(data, "tokenization.shopperReference")
    if not (stored_id and _ID.fullmatch(stored_id) and shopper):
        return None
    token = token_of(stored_id, shopper)
    if card is not None:
        return KeptMethod(token, mask(card.number), brand_of(card.number), card.expire_year, card.expire_month)
    brand = _BRANDS.get(_text(data, "paymentMethod") or "")
    expiry = _EXPIRY.fullmatch(_text(data, "expiryDate") or "")
    month, year = (expiry[1].zfill(2), expiry[2]) if expiry else (None, None)
    return KeptMethod(token, _mask(data, brand), brand, year, month)


def _mask(data: Mapping[str, Any], brand: CardBrand | None) -> str | None:
    first, last = _text(data, "cardBin") or "", _text(data, "cardSummary") or ""
    if brand is None or not re.fullmatch(r"\d{6,8}", first) or not re.fullmatch(r"\d{4}", last):
        return None
    return f"{first[:6]}{'*' * (_DIGITS.get(brand, 16) - 10)}{last}"


def _text(data: Mapping[str, Any], name: str) -> str | None:
    value = data.get(name)
    return value if isinstance(value, str) else None
