"""What every answer to these shoppers had to be: they make no mistake, so none may be told that they did."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from deploy.crashtest.history import FOREIGN_POLL, POLL, SUBMIT, Exchange
from deploy.crashtest.records import Violation

PUT_OFF = frozenset({429, 503})
EXPECTED = {SUBMIT: frozenset({202}), POLL: frozenset({200}), FOREIGN_POLL: frozenset({404})}


def answers_as_promised(exchanges: Iterable[Exchange]) -> Iterator[Violation]:
    """I2, I10: a submit is accepted or put off, a poll of an accepted order is answered or put off; no 500, ever.

    I6: who is of another tenant hears that there is no such order.
    """
    for one in exchanges:
        expected = EXPECTED.get(one.what, frozenset({200, 302, 303}))
        if one.status is not None and one.status not in expected | PUT_OFF:
            about = one.asked.get("trackingNumber") or one.asked.get("key") or one.asked.get("offer") or one.what
            seen = f"{one.what} was answered {one.status} {one.said.get('code', '')}".strip()
            yield Violation("I6" if one.what == FOREIGN_POLL else "I2", str(about), seen)
