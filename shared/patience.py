"""How long things may take before somebody looks again; each number with its reason."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

STEP_PATIENCE: Final = timedelta(seconds=10)
"""How long an order may wait for the message of its next step before it is rung for again: ten times what a
healthy queue takes, short enough for a shopper who waits."""
FIRST_LOOK: Final = timedelta(seconds=0.7)
"""An answer that got lost is looked for at once; most PSPs know their verdict within a second. With the rescuer's look
every second and the way to a worker, the first question is asked within two (design)."""
LOOK_AGAIN: Final = (timedelta(seconds=5), timedelta(seconds=15), timedelta(seconds=60), timedelta(minutes=5))
"""Then ever more slowly, the last pause for good."""
NOT_YET_PROOF: Final = timedelta(seconds=15)
"""How long an order waits at most whose PSP knows of no charge while the request may still be on its way: it is asked
again when absence is proof, and before that in case the request did arrive and its webhook got lost."""
JITTER: Final = (0.8, 1.2)
"""What each of these pauses is multiplied by at random: orders that met one outage do not come back as one crowd."""
LOOKS_WITH_BROUGHT: Final = 15
"""How often a PSP that cannot be asked is told what the shopper brought back, once the shopper's time is over, before
the payment is given up: an hour, in which an outage may end; then what it still captures goes back."""
PENDING_LOOK: Final = timedelta(hours=1)
"""A payment that takes days is asked about by the hour; its webhook is faster."""
PSP_AWAY: Final = timedelta(seconds=5)
"""How long an order waits after its PSP (or the vault) would not even take the request."""
PSP_AWAY_SHARE: Final = 0.25
LONGEST_PSP_AWAY: Final = timedelta(seconds=60)
"""After that a quarter of the time it has waited already, a minute at most: a PSP that is away for a day, or an account
that was closed, does not cost each order two moves every five seconds."""
NO_IN_HAND: Final = timedelta(seconds=60)
"""How long after its admission an order that one PSP said no to waits for others that are away: as long as a storefront
of the published API polls (30 times 2 s). Then its shopper hears the no, and may pay in another way."""
RETURN_REFUSED: Final = (timedelta(minutes=1), timedelta(minutes=10), timedelta(hours=1), timedelta(hours=6))
"""How long it waits after its PSP said that it did not go back (a balance may have to fill up), the last pause for
good."""
TAKEN_LOOK: Final = timedelta(hours=1)
"""How long it waits where the PSP took it in hand and will tell: the same request under its key changes nothing."""
RETURN_AGAIN: Final = timedelta(seconds=30)
"""How long money that has to go back waits before its PSP is asked again."""
REFUND_AGAIN_SHARE: Final = 0.25
LONGEST_REFUND_AGAIN: Final = timedelta(minutes=5)
"""A refund without an answer is asked for ever more slowly: after a quarter of the time it has waited already, and as
slowly as a payment in doubt at most. Between two calls there must be a time in which none can be on its way, for
somebody to say what the PSP's console shows (shared/operate/proving.py): of five minutes it is two and more."""
KEEP_TRIES: Final = 3
"""How often the PSP is asked for a method it was to keep, before the order is done without it (design)."""
CRASHES_TO_PARK: Final = 5
"""A poison order may take five workers down, then nobody charges it any more (design)."""


def refund_again(waited: timedelta, place: timedelta | None) -> timedelta:
    """How long a refund that has *waited* for an answer under its key is put off; *place*: when it may go, where its
    PSP or its gate said so."""
    return max(place or RETURN_AGAIN, min(REFUND_AGAIN_SHARE * waited, LONGEST_REFUND_AGAIN))


def away_for(waited: timedelta) -> timedelta:
    """How long an order that has *waited* since its admission is put off while no PSP takes its request: ever longer,
    within bounds."""
    return min(max(PSP_AWAY, PSP_AWAY_SHARE * waited), LONGEST_PSP_AWAY)
