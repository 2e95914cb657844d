"""What leads an order of a tenant with two PSPs from one to the other, and how it stands then."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from shared.domain.states import OrderState
from tests.support.two_psps import FIRST, TwoPsps

NOWHERE: Final = "http://127.0.0.1:9"
"""Nobody listens on the discard port: what is sent there provably reaches nobody."""
SOFT_EVERYWHERE: Final = "4000007700000018"
"""Softly declined by every PSP."""
DROPPED: Final = "4000007700000133"
"""The connection drops, nothing is written."""


def says_softly_no(both: TwoPsps, provider: str = FIRST, *, times: int = 1) -> None:
    """Let *provider* softly say no to whoever asks it next."""
    both.sandboxes[provider].set_faults(next=[{"kind": "declineSoft", "times": times}])


def age(both: TwoPsps, number: str, by: timedelta) -> None:
    """Let the order have been admitted *by* earlier, and its PSPs been asked as much earlier."""
    both.room.sql(
        "UPDATE orders SET admitted_at = admitted_at - cast(:by AS interval) WHERE tracking_number = :n",
        by=by,
        n=number,
    )
    both.room.asked_earlier(number, by)


def failed_as(both: TwoPsps, number: str) -> str | None:
    """The public words an order failed with."""
    assert both.room.state(number) is OrderState.FAILED
    return both.room.order(number).failure
