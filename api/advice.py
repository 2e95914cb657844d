"""When it makes sense for a poller to ask again: what is known of its order's wait, or else a share of it.

Four things tell. An order in the row of its PSP has its place, to the second. One that waits for a worker has so many
before it, and a pace at which they go (api/outlook.py). One that is being paid takes as long as payments of its tenant
do of late. One whose verdict is out is looked at when its row says. Where none of them tells, or what they told is
over, who has waited for long will wait for longer: a tenth of what was waited costs nobody more than a tenth.
"""

from __future__ import annotations

import math
import random
from typing import Final, Protocol
from uuid import UUID

from shared.domain.states import CheckoutCode, OrderState
from shared.store.status import Status

LEAST_S: Final = {CheckoutCode.PROCESSING: 2, CheckoutCode.CHALLENGED: 3}
"""2 s is published; a shopper at a challenge takes longer than a machine."""
LONGEST_RETRY_S: Final = 120
"""A thousand orders at eight a second. By then workers may have been added and rows moved up: nobody is sent away for
longer, however long the line, as a challenge that comes up meanwhile has an end of its own."""
OF_A_CHALLENGE: Final = 0.25
"""The same as a share of the time a shopper has for a challenge: where that is short, who was sent away right before it
came up still finds most of it left."""
LONGEST_GUESS_S: Final = 30
"""The same where nobody knows: a shopper who comes back from a challenge is not to look at a page that stands still."""
LONGEST_LOOK_S: Final = 15
"""The same where a webhook may end the wait before the look its row waits for: most do within seconds."""
SHARE: Final = 0.1
"""Of what an order has waited already, where nothing else is known."""
SPREAD: Final = (0.95, 1.05)
"""What a wait is multiplied by at random: those of one row do not all ask at once."""
CALLED_S: Final = 1.0
"""From the moment its place comes up until an order is paid: the rescuer looks every second (rescue_period_s), and the
payment takes a part of one."""


class Foresees(Protocol):
    """Who knows of the backlog (api/outlook.py)."""

    def wait_s(self, tenant_id: UUID, tracking_number: str, *, is_paid: bool) -> float | None:
        """Seconds until the order has ended, if it waits now; None: nobody knows. *is_paid*: it waits for what comes
        after its payment."""

    def row_s(self, tenant_id: UUID, tracking_number: str) -> float | None:
        """The same by the row of its PSPs alone; None: there is none worth a word."""

    def payment_s(self, tenant_id: UUID) -> float | None:
        """Seconds that a payment of the tenant takes; None: nobody knows."""


def retry_after_s(now: Status, outlooks: Foresees, *, challenge_life_s: int) -> int:
    """When to ask again, in seconds; *challenge_life_s*: how long a challenge would wait for its shopper."""
    least, most = LEAST_S[now.code], min(LONGEST_RETRY_S, int(challenge_life_s * OF_A_CHALLENGE))
    expected = _expected_s(now, outlooks)
    if expected is None or expected <= 0:
        return max(least, min(LONGEST_GUESS_S, most, int(now.since_s * SHARE)))
    soon = math.ceil(expected * random.uniform(*SPREAD))  # noqa: S311 - spreads polls, guards nothing
    return max(least, min(most, soon))


def _expected_s(now: Status, outlooks: Foresees) -> float | None:
    """How long it will be until the order has moved on; None: nobody knows."""
    if now.place_in_s is not None:
        return max(now.place_in_s + CALLED_S, _row_s(now, outlooks))
    if now.is_called:
        return max(CALLED_S, _row_s(now, outlooks))
    if now.tenant_id is None:
        return None
    match now.state:
        case OrderState.ADMITTED | OrderState.OFFER_LOCKED | OrderState.CAPTURED:
            is_paid = now.state is OrderState.CAPTURED
            return outlooks.wait_s(now.tenant_id, now.tracking_number, is_paid=is_paid)
        case OrderState.PAYING:
            usual = outlooks.payment_s(now.tenant_id)
            return None if usual is None else usual - now.since_s
        case OrderState.CONFIRMING:
            return min(now.look_in_s, LONGEST_LOOK_S)
        case _:
            return None


def _row_s(now: Status, outlooks: Foresees) -> float:
    """How long those before it in its PSP's row take, by what they took of late: slots may have been missed."""
    row_s = None if now.tenant_id is None else outlooks.row_s(now.tenant_id, now.tracking_number)
    return row_s or 0.0
