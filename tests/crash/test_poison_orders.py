"""An order that kills whoever works on it is parked after the fifth death, and every other order goes its way."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from shared.failpoints import KILLED, Failpoint
from shared.messages import Step
from shared.patience import CRASHES_TO_PARK
from tests.crash import beginnings
from tests.support.crash_case import Case
from workers.rescuer import rescue


def admitted(case: Case) -> str:
    """An order nobody has worked on."""
    return case.accepted(beginnings.pay_with())


@pytest.mark.parametrize(
    ("poison", "step", "point", "end"),
    [
        (admitted, Step.LOCK_OFFER, Failpoint.LOCK_BEFORE_STATEMENT, "failed"),
        (beginnings.captured_untold, Step.TOKENIZE, Failpoint.TOKENIZE_BEFORE_CALL, "done"),
    ],
    ids=["before its offer is held", "while its method is asked for"],
)
def test_an_order_that_kills_five_workers_takes_no_sixth_and_no_other_order_with_it(
    case: Case, poison: Callable[[Case], str], step: Step, point: Failpoint, end: str
) -> None:
    number = poison(case)
    for _ in range(CRASHES_TO_PARK):
        assert case.working(step, number, point).ended() == KILLED
        case.lose_what_was_rung()  # Its message was in the child's hands.
        case.let_pass(65)
        assert rescue(case.floor.run) == 1
    others = [case.accepted(beginnings.pay_with()) for _ in range(3)]

    assert case.working(step, number, point).ended() == 0

    assert case.state(number) == end
    assert case.violations() == []
    assert [case.state(other) for other in others] == ["done"] * len(others)
