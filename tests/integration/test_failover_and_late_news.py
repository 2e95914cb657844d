"""Whatever is told, or dies, between two PSPs, one of them keeps the money and the other gives it back (C10)."""

from __future__ import annotations

from typing import Any

from shared.domain.outcomes import Declined, DeclineReason
from shared.domain.states import OrderState
from tests.support.failing_over import says_softly_no
from tests.support.two_psps import FIRST, SECOND, TwoPsps
from workers.pay import pay


def late_charge(both: TwoPsps, number: str) -> Any:
    """A capture that FIRST makes under the key of the attempt it declined: a repeat at a PSP that forgot its no."""
    return both.charge(FIRST, both.room.attempts(number)[0])


def test_a_capture_that_comes_after_the_failover_goes_back(both: TwoPsps) -> None:
    both.sandboxes[FIRST].set_faults(memory="successes", next=[{"kind": "declineSoft"}])
    number = both.room.locked()
    pay(both.room.run, number)
    late = late_charge(both, number)

    both.room.tell(both.room.attempts(number)[0], late, actor="webhook")
    both.give_back(number)

    assert both.room.state(number) is OrderState.CAPTURED
    assert both.tried(number) == [(FIRST, "returned"), (SECOND, "captured")]
    assert both.live(number) == [SECOND]


def test_a_capture_that_comes_while_the_second_is_asked_is_the_orders_and_the_seconds_goes_back(both: TwoPsps) -> None:
    both.sandboxes[FIRST].set_faults(memory="successes", next=[{"kind": "declineSoft"}])
    number = both.room.locked()

    def told() -> None:
        both.room.tell(both.room.attempts(number)[0], late_charge(both, number), actor="webhook")

    assert pay(both.asking(SECOND, told), number)
    both.give_back(number)

    assert both.room.state(number) is OrderState.CAPTURED
    assert both.tried(number) == [(FIRST, "captured"), (SECOND, "returned")]
    assert both.live(number) == [FIRST]


def test_a_webhook_that_tells_of_the_no_first_does_not_stop_the_failover(both: TwoPsps) -> None:
    says_softly_no(both)
    number = both.room.locked()

    def told() -> None:
        attempt = both.room.attempt(number)
        both.room.tell(attempt, Declined(DeclineReason.DO_NOT_HONOR, soft=True), actor="webhook")
        assert both.room.state(number) is OrderState.OFFER_LOCKED

    assert pay(both.asking(FIRST, told), number)

    assert both.live(number) == [SECOND]


def test_a_worker_that_dies_between_two_psps_is_succeeded(both: TwoPsps) -> None:
    says_softly_no(both)
    number = both.room.locked()
    both.dies_while_asking(SECOND, number)
    assert both.tried(number) == [(FIRST, "declined"), (SECOND, "open")]
    both.room.until_lease_ended(number)

    assert pay(both.room.run, number)

    assert both.live(number) == [SECOND]
    assert both.tried(number) == [(FIRST, "declined"), (SECOND, "captured")]
