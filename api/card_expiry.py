"""Whether a card's month is over: a reason to refuse a new call, and none to refuse one that was accepted before.

Same order again is answered like the first time, after success and after failure alike (contract section 2). A shopper
who pressed the button before midnight and is told after it that their card is no good would pay with another one, and
twice. So this is judged where the earlier order would be found (api/admission.py), not with the form of a request.
"""

from __future__ import annotations

from datetime import date

from shared.domain.cards import Card, is_past
from shared.domain.refusals import InvalidCard


def refusal_of(card: Card, *, today: date) -> InvalidCard | None:
    """The refusal of *card* if it can no longer be charged *today* (UTC)."""
    if not is_past(card.expire_year, card.expire_month, today=today):
        return None
    fields = (f"paymentMethod.creditCard.{name}: is past" for name in ("expireYear", "expireMonth"))
    return InvalidCard("; ".join(fields))
