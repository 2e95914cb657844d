"""When a call is said again, how soon, and when it is given up.

Said again is what was not answered, and what was answered with "later" (429, 503) or with an outcome nobody knows
(408, 500, 502, 504): the very same call, key and all, so that an order that was accepted behind a lost answer is found
and not made twice. Everything else that says no is raised at once. A call that would do its work twice (storing a card)
is said again only where it certainly did nothing.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from shared.client.errors import NoAnswer
from shared.client.remedies import refusal_of
from shared.client.turns import LEAST_S, Call, Heard, Lost, Talk, rested, said

LATER: Final = frozenset({429, 503})
UNKNOWN: Final = frozenset({408, 500, 502, 504})
DID_NOTHING: Final = frozenset({"RATE_LIMITED", "PSP_UNAVAILABLE"})
"""Refused before any work, or by a PSP that kept nothing for us; after a 503 of another cause a commit may stand."""
FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 8.0
"""Where nobody says when to come back: doubled each time up to a restart's length, half of it by chance."""
LATER_BY: Final = 0.2
"""Never sooner than Retry-After, and up to a fifth later: those who were told the same do not all come at once."""
TRIES: Final = 8
"""With the pauses above half a minute: longer than any one fault the API gets over by itself."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How patient a client is. *patience_s*: how long one call is tried, pauses and all."""

    patience_s: float = 60.0
    tries: int = TRIES
    clock: Callable[[], float] = time.monotonic
    dice: random.Random = field(default_factory=random.SystemRandom, repr=False)

    def tries_within(self, seconds: float) -> int:
        """As many as fit, where a deadline is the bound; one where nothing is to be said twice."""
        return 1 if self.tries == 1 else 1 + int(seconds / (FIRST_PAUSE_S / 2))


def answered(
    call: Call, terms: Terms, *, ends_at: float | None = None, tries: int | None = None, key: str | None = None
) -> Talk[Heard]:
    """The first answer that is neither lost nor "later". Raises Refused, NoAnswer."""
    ends_at = terms.clock() + terms.patience_s if ends_at is None else ends_at
    unclear = False
    last = (tries or terms.tries) - 1
    for count in range(last + 1):
        heard = yield from said(_within(call, ends_at - terms.clock()))
        if isinstance(heard, Heard) and heard.status not in LATER | UNKNOWN:
            if heard.status >= 400:
                raise refusal_of(heard, after_lost=unclear)
            return heard
        unclear = unclear or not _did_nothing(heard)
        pause = pause_s(heard, count, terms.dice)
        if (unclear and not call.repeatable) or count == last or terms.clock() + pause > ends_at:
            break
        yield from rested(pause)
    raise _given_up(call, heard, unclear, key)


def _within(call: Call, left_s: float) -> Call:
    """*call* by whoever has so long: what is held to its end must still come back."""
    return replace(call, within_s=left_s, hold_s=max(0.0, min(call.hold_s, left_s // 1 - LEAST_S)))


def pause_s(heard: Heard | Lost, count: int, dice: random.Random) -> float:
    """How long to wait after the *count*-th try: as the API says, else ever longer."""
    told = heard.retry_after_s if isinstance(heard, Heard) else None
    if told is not None:
        return told * (1 + LATER_BY * dice.random())
    longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0**count)
    return longest * (1 + dice.random()) / 2


def _did_nothing(heard: Heard | Lost) -> bool:
    return not heard.was_sent if isinstance(heard, Lost) else heard.code in DID_NOTHING


def _given_up(call: Call, heard: Heard | Lost, unclear: bool, key: str | None) -> NoAnswer:
    why = heard.why if isinstance(heard, Lost) else heard.code or f"HTTP {heard.status}"
    if key is not None:
        next_step = "submit the same order again, under the key this error names and no other: it is made once"
    elif call.repeatable:
        next_step = "ask again later"
    else:
        next_step = "look (list) whether it happened before you ask for it again"
    return NoAnswer(
        why,
        key=key,
        may_have_happened=unclear,
        retry_after_s=heard.retry_after_s if isinstance(heard, Heard) else None,
        next_step=next_step,
    )
