"""How an order is followed: with as few questions as the API lets us get by with, and never beyond a deadline.

Every question asks the API to hold its answer until something changes (`Prefer: wait=N`, RFC 7240). An API that does so
says Preference-Applied, and is asked again as soon as it has answered; from any other we hear when to come back
(Retry-After) and keep to it. The ETag makes an unchanged order a 304 without a body.

Whoever has no ETag yet cannot say which change they wait for: the one they want may have been before they asked. So
the first question is held for a second at most; it brings the ETag, and tells whether this API holds answers.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from shared.client.answers import CheckoutResult
from shared.client.errors import StillRunning
from shared.client.reading import result_of
from shared.client.retries import Terms, answered
from shared.client.turns import LEAST_S, Call, Heard, Talk, rested

LONGEST_HOLD_S: Final = 30
"""What the API holds an answer at most (contract section 3)."""
FIRST_HOLD_S: Final = 1
"""Most orders move within it."""
RETRY_AFTER_S: Final = 2.0
"""The published pause, where an answer names none."""
UNCHANGED: Final = 304
WITHIN_S: Final = 60.0
"""What the published API tells a poller to expect: thirty times two seconds."""


def poll(tracking_number: str, *, etag: str | None = None, hold_s: int = 0) -> Call:
    """One question where an order stands."""
    headers = {"If-None-Match": etag} if etag else {}
    path = f"/c2a/offer/checkout/{quote(tracking_number, safe='')}/status"
    return Call("GET", path, headers=headers, hold_s=float(hold_s))


def waited(order: CheckoutResult | str, terms: Terms, *, within_s: float) -> Talk[CheckoutResult]:
    """The order's end, or the first redirect that an earlier wait did not tell of. Raises StillRunning, NoAnswer."""
    number = order.tracking_number if isinstance(order, CheckoutResult) else order
    seen = order if isinstance(order, CheckoutResult) and not order.is_of_submit else None
    ends_at = terms.clock() + within_s
    last, etag = seen, seen.etag if seen else None
    tries = terms.tries_within(within_s)
    while True:
        asked_at = terms.clock()
        left_s = max(0, int(ends_at - asked_at - LEAST_S))  # What is held to its end must still come back.
        hold_s = min(LONGEST_HOLD_S if etag else FIRST_HOLD_S, left_s)
        heard = yield from answered(poll(number, etag=etag, hold_s=hold_s), terms, ends_at=ends_at, tries=tries)
        if heard.status != UNCHANGED or last is None:
            last = result_of(heard)
            etag = last.etag
        if last.is_final or _is_news(last, seen):
            return last
        pause = _pause_s(heard, held_s=terms.clock() - asked_at, hold_s=hold_s)
        if terms.clock() + pause >= ends_at:
            raise StillRunning(last)
        yield from rested(pause)


def _is_news(now: CheckoutResult, seen: CheckoutResult | None) -> bool:
    """Whether the shopper has to be sent somewhere they were not sent yet."""
    known = seen.redirect_instructions if seen is not None and seen.needs_shopper else None
    return now.needs_shopper and (known is None or now.redirect_instructions != known)


def _pause_s(heard: Heard, *, held_s: float, hold_s: int) -> float:
    """None after an answer that was held, or that told a change; else what is left of Retry-After."""
    told = RETRY_AFTER_S if heard.retry_after_s is None else heard.retry_after_s
    applied = "preference-applied" in heard.headers and "etag" in heard.headers
    was_held = applied and (heard.status != UNCHANGED or held_s >= hold_s / 2)
    return 0.0 if was_held else max(0.0, told - held_s)
