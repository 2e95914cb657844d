"""Whatever process dies at whatever boundary: every order ends, nobody pays twice, and nothing stays behind.

A1 and A2 of the list of faults: each boundary on both sides of its commit, each process, and for payments a PSP that
remembers everything and one that remembers only what it captured. The child is a real process on real servers and
ends by `os._exit(137)`; what follows is only what the product, its clients and its PSP do by themselves.
"""

from __future__ import annotations

import pytest

from shared.failpoints import KILLED, Failpoint
from shared.messages import Step
from tests.crash.beginnings import locked
from tests.crash.boundaries import PAY_POINTS, SCENARIOS
from tests.crash.scenarios import Scenario, going_on, paying
from tests.support.crash_case import Case

MATRIX = [(scenario, point) for point, scenarios in SCENARIOS.items() for scenario in scenarios]


def test_the_matrix_has_every_boundary() -> None:
    assert set(SCENARIOS) == set(Failpoint)


@pytest.mark.parametrize(("scenario", "point"), MATRIX, ids=[f"{one.__name__}-{point}" for one, point in MATRIX])
def test_a_process_may_die_at_any_boundary(case: Case, scenario: Scenario, point: Failpoint) -> None:
    assert scenario(case, point) == KILLED, "the point was not reached"
    assert case.violations() == []


@pytest.mark.parametrize("scenario", [paying, going_on], ids=lambda one: one.__name__)
@pytest.mark.parametrize("point", PAY_POINTS)
def test_a_payment_may_die_at_a_psp_that_forgets_its_no(case: Case, scenario: Scenario, point: Failpoint) -> None:
    case.floor.sandbox.set_faults(memory="successes")
    assert scenario(case, point) == KILLED, "the point was not reached"
    assert case.violations() == []


@pytest.mark.parametrize("point", PAY_POINTS)
def test_a_no_that_its_psp_forgets_is_the_last_word_only_once_it_was_heard(case: Case, point: Failpoint) -> None:
    """Whoever takes over from a worker that died with the no asks again, is told yes, and that counts."""
    number = locked(case)
    case.floor.sandbox.set_faults(memory="successes", next=[{"kind": "decline"}])
    assert case.working(Step.PAY, number, point).ended() == KILLED, "the point was not reached"
    assert case.violations() == []
    assert case.state(number) == ("done" if point is Failpoint.PAY_AFTER_CALL else "failed")
