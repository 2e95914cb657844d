"""A poller is told to come back when there may be news, within bounds, and not all at once."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace

import pytest

from api.advice import LONGEST_GUESS_S, LONGEST_LOOK_S, LONGEST_RETRY_S, retry_after_s
from shared.domain.states import CODE_OF, TERMINAL, OrderState
from shared.store.status import Status


@dataclass(frozen=True)
class Foreseen:
    """What is known of the waits of all orders."""

    wait: float | None = None
    row: float | None = None
    payment: float | None = None

    def wait_s(self, tenant_id: uuid.UUID, tracking_number: str, *, is_paid: bool) -> float | None:
        """How long an order that waits has to."""
        assert isinstance(is_paid, bool)
        assert tenant_id
        assert tracking_number
        return self.wait

    def row_s(self, tenant_id: uuid.UUID, tracking_number: str) -> float | None:
        """How long one in a row has to."""
        return self.row if self.wait_s(tenant_id, tracking_number, is_paid=False) else None

    def payment_s(self, tenant_id: uuid.UUID) -> float | None:
        """How long a payment takes."""
        assert tenant_id
        return self.payment


def an_order(state: OrderState, **known: float | None) -> Status:
    """An order in *state*."""
    fresh = Status.fresh("trk_01M8AQHX2KT7BRNXJ4WTXVW440", uuid.uuid4())
    return replace(fresh, state=state, code=CODE_OF[state], **known)  # type: ignore[arg-type]


LIVE = [state for state in OrderState if state not in TERMINAL]
WAITING = [OrderState.ADMITTED, OrderState.OFFER_LOCKED, OrderState.CAPTURED]


def told_s(now: Status, outlooks: Foreseen, *, challenge_life_s: int = 900) -> int:
    """When to ask again where challenges live as long as they do by default."""
    return retry_after_s(now, outlooks, challenge_life_s=challenge_life_s)


@pytest.mark.parametrize("state", LIVE)
def test_where_nobody_knows_the_published_seconds_are_told_and_later_a_tenth_of_what_was_waited(
    state: OrderState,
) -> None:
    least = 3 if state is OrderState.CHALLENGE else 2
    assert told_s(an_order(state), Foreseen()) == least
    assert told_s(an_order(state, since_s=100.0), Foreseen()) == 10
    assert told_s(an_order(state, since_s=86_400.0), Foreseen()) == LONGEST_GUESS_S


@pytest.mark.parametrize("state", WAITING)
def test_who_waits_for_a_worker_is_told_its_wait_and_a_crowd_is_spread(state: OrderState) -> None:
    told = {told_s(an_order(state), Foreseen(wait=100.0)) for _ in range(300)}
    assert min(told) >= 95
    assert max(told) <= 105
    assert len(told) > 5, "they do not all come at once"


def test_nobody_is_sent_away_for_longer_than_two_minutes() -> None:
    assert told_s(an_order(OrderState.ADMITTED), Foreseen(wait=36_000.0)) == LONGEST_RETRY_S


@pytest.mark.parametrize("known", [{}, {"wait": 36_000.0}], ids=["nobody knows", "a long line"])
def test_who_is_sent_away_right_before_a_short_challenge_comes_up_finds_most_of_it_left(
    known: dict[str, float],
) -> None:
    waits = an_order(OrderState.ADMITTED, since_s=3_600.0)
    assert told_s(waits, Foreseen(**known), challenge_life_s=20) == 5
    assert told_s(waits, Foreseen(**known), challenge_life_s=1) == 2, "the published pace"


def test_a_payment_under_way_is_asked_for_when_payments_are_over() -> None:
    slow = Foreseen(wait=500.0, payment=20.0)
    assert 10 <= told_s(an_order(OrderState.PAYING, since_s=10.0), slow) <= 11
    assert told_s(an_order(OrderState.PAYING, since_s=19.5), slow) == 2
    assert told_s(an_order(OrderState.PAYING, since_s=60.0), slow) == 6, "it is not as usual"


def test_a_place_in_a_psps_row_is_believed_before_all_else() -> None:
    placed = an_order(OrderState.OFFER_LOCKED, place_in_s=50.0)
    assert 48 <= told_s(placed, Foreseen(wait=5.0)) <= 54
    called = an_order(OrderState.OFFER_LOCKED, is_called=True)
    assert told_s(called, Foreseen(wait=50.0)) == 2
    assert 76 <= told_s(placed, Foreseen(wait=80.0, row=80.0)) <= 84, "slots were missed before it"


def test_a_verdict_that_is_out_is_asked_for_when_somebody_looks() -> None:
    assert 15 <= told_s(an_order(OrderState.CONFIRMING, look_in_s=15.0), Foreseen()) <= 16
    days = an_order(OrderState.CONFIRMING, look_in_s=3_600.0)
    assert told_s(days, Foreseen()) <= LONGEST_LOOK_S * 1.1
