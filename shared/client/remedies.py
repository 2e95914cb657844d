"""What each code of the contract means to a storefront: whose move it is, and which.

One table. A test holds it against every refusal the product knows, so that no new one goes without a way out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from shared.client.errors import (
    KeyAtFault,
    KeyReused,
    OfferAtFault,
    OrderUnknown,
    PaymentAtFault,
    Refused,
    RequestAtFault,
)
from shared.client.turns import Heard
from shared.domain.cards import may_show

Remedy = tuple[type[Refused], str]

_MEND: Final = (RequestAtFault, "mend the program: the same request will be refused again")
_NEW_OFFER: Final = (OfferAtFault, "resolve a new offer, show its price, and order that under a new correlationId")
_OTHER_WAY: Final = (PaymentAtFault, "ask the shopper for another card or way to pay")

REMEDIES: Final[Mapping[str, Remedy]] = {
    "INVALID_REQUEST": _MEND,
    "BAD_REQUEST": _MEND,
    "NOT_FOUND": _MEND,
    "METHOD_NOT_ALLOWED": _MEND,
    "REQUEST_TOO_LARGE": _MEND,
    "UNSUPPORTED_MEDIA_TYPE": _MEND,
    "REQUEST_HEADERS_TOO_LARGE": _MEND,
    "UNAUTHORIZED": (KeyAtFault, "check the key, and that the tenant is the key's own"),
    "FORBIDDEN": (KeyAtFault, "use a key whose role allows it: a publishable one only reads where an order stands"),
    "OFFER_EXPIRED": _NEW_OFFER,
    "OFFER_NOT_FOUND": _NEW_OFFER,
    "OFFER_ALREADY_ORDERED": (
        OfferAtFault,
        "look whether this customer's order is there already, else as when expired",
    ),
    "OFFER_NOT_PURCHASABLE": (OfferAtFault, "a showcase only shows: resolve an offer for this customer"),
    "OFFER_ITEM_NOT_FOUND": (OfferAtFault, "order only what the offer lists, add-ons beside their bundle"),
    "NO_OFFER_FOUND": (OfferAtFault, "there is nothing to sell in this context: show no offer"),
    "INVALID_PROMOTION_CODE": (OfferAtFault, "tell the shopper that the code does not hold, and resolve without it"),
    "STOREFRONT_NOT_FOUND": (OfferAtFault, "name one of the tenant's storefronts"),
    "INVALID_CARD": (PaymentAtFault, "ask the shopper to look at the card's number, expiry and code again"),
    "CARD_DECLINED": _OTHER_WAY,
    "PAYMENT_METHOD_NOT_FOUND": (PaymentAtFault, "list the customer's methods again: this one is not there"),
    "PAYMENT_METHOD_INACTIVE": (PaymentAtFault, "activate the stored method, or take another"),
    "CUSTOMER_NOT_FOUND": (PaymentAtFault, "this customer has stored nothing and ordered nothing yet"),
    "PROVIDER_NOT_AVAILABLE": (PaymentAtFault, "leave the provider out, or offer another channel"),
    "IDEMPOTENCY_CONFLICT": (KeyReused, "another order has this correlationId: number this one anew"),
    "ORDERED_ITEM_NOT_FOUND": (OrderUnknown, "check the tracking number: this tenant has no such order"),
}
"""By messageCode; what is not here and not to be said again is the program's to mend."""

_DIFFERS: Final = "differs in: "
_PATH: Final = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:\[\d+\])?(?:\.[A-Za-z][A-Za-z0-9]*(?:\[\d+\])?)*")


def refusal_of(heard: Heard, *, after_lost: bool) -> Refused:
    """The typed error for an answer that says no."""
    code = heard.code or ("UNAUTHORIZED" if heard.status == 401 else f"HTTP_{heard.status}")
    kind, next_step = REMEDIES.get(code, _MEND)
    told = heard.document.get("message")
    # The API names fields and never values; something between us and it might not.
    message = may_show(told) if isinstance(told, str) and heard.code else ""
    return kind(
        code,
        message,
        status=heard.status,
        fields=fields_of(message),
        next_step=next_step,
        after_lost=after_lost,
    )


def fields_of(message: str) -> tuple[str, ...]:
    """The paths a message names: "path: what is wrong; path: ...", or "... differs in: path, path"."""
    _, differs, listed = message.partition(_DIFFERS)
    named = listed.split(", ") if differs else (part.partition(":")[0] for part in message.split("; ") if ":" in part)
    return tuple(path for path in named if _PATH.fullmatch(path))
