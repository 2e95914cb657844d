"""A5: a worker that was stopped past its lease and wakes up changes no state, but what it knows of money counts.

The worker is a real process under a real SIGSTOP, its lease ends by the database's clock, and a second worker
finishes or has the order in hand when the first one wakes.
"""

from __future__ import annotations

import signal

from shared.failpoints import Failpoint
from shared.messages import Step
from shared.psp.port import TOTAL_TIMEOUT_S
from shared.psp.traffic.lane import LONGEST_WAIT_S
from tests.crash.beginnings import locked
from tests.support.children import Child
from tests.support.crash_case import Case
from tests.support.psp import until

ANSWER_DELAY_MS = 3_000
"""How long the PSP has the call: time to see its charge in the ledger and to stop its caller."""
LEASE_S = 6
"""Longer than a busy machine or a slow disk holds a worker up between its claim and its call."""
LIMIT_S = int(LONGEST_WAIT_S + TOTAL_TIMEOUT_S) + LEASE_S
"""The longest call and one unrenewed lease: only who was not stopped for that lease can still keep to it."""
HOLDS_THE_ANSWER = f"{Failpoint.PAY_AFTER_CALL}=stop"


def test_a_worker_stopped_in_its_call_wakes_up_to_an_order_that_is_done(case: Case) -> None:
    number = locked(case)
    case.floor.sandbox.set_faults(answerDelayMs=ANSWER_DELAY_MS)
    first = case.working(Step.PAY, number, "")
    until(lambda: case.floor.sandbox.charges(case.account), seconds=20)
    first.signal(signal.SIGSTOP)
    first.until_stopped()
    assert case.state(number) == "paying", "the PSP has the call"
    case.floor.sandbox.heal()
    case.drain.until_over()
    before = case.records().database
    wake(first)
    assert case.records().database == before
    assert [event.event for event in before.events].count("payment_resumed") == 1
    assert case.violations() == []


def test_a_no_that_comes_after_the_lease_is_refused(case: Case) -> None:
    number, first, second = stale_no(case)
    wake(first)
    assert case.state(number) == "paying", "the order is the second worker's"
    wake(second)
    assert case.violations() == []
    assert case.state(number) == "done"


def test_a_capture_that_comes_after_the_lease_counts(case: Case) -> None:
    """The second worker hears nothing from the PSP; the first one has the verdict in its hands."""
    number = locked(case)
    first = case.working(Step.PAY, number, HOLDS_THE_ANSWER)
    first.until_stopped()
    case.floor.sandbox.set_faults(down="closed")
    take_over(case, number)
    assert case.state(number) == "confirming"
    wake(first)
    assert case.state(number) == "captured"
    case.floor.sandbox.heal()
    assert case.violations() == []
    assert case.state(number) == "done"


def test_a_worker_stopped_between_its_claim_and_its_call_asks_for_no_money(case: Case) -> None:
    """Its lease may end within the call, and then it cannot know what others have learned since."""
    number, first = claimed_and_stopped(case)
    until_free(case, number)
    wake(first)
    assert case.floor.sandbox.charges(case.account) == []
    assert case.violations() == []
    assert case.state(number) == "done"


def test_a_worker_that_wakes_up_while_its_lease_has_time_for_the_call_asks_for_the_money(case: Case) -> None:
    """The same worker, not stopped for so long: it was the stop that kept the other from its call."""
    number, first = claimed_and_stopped(case)
    wake(first)
    assert case.state(number) == "captured"
    assert case.violations() == []
    assert case.state(number) == "done"


def claimed_and_stopped(case: Case) -> tuple[str, Child]:
    """A worker that has claimed an order and not yet asked the PSP for its money; stopped."""
    number = locked(case)
    stop = f"{Failpoint.PAY_AFTER_CLAIM}=stop"
    first = case.working(Step.PAY, number, stop, lease_s=LEASE_S, lease_limit_s=LIMIT_S)
    first.until_stopped()
    return number, first


def stale_no(case: Case) -> tuple[str, Child, Child]:
    """A first worker that holds a no, and a second that holds the yes a forgetful PSP gave later; both stopped."""
    case.floor.sandbox.set_faults(memory="successes", next=[{"kind": "decline"}])
    number = locked(case)
    first = case.working(Step.PAY, number, HOLDS_THE_ANSWER)
    first.until_stopped()
    until_free(case, number)
    second = case.working(Step.PAY, number, HOLDS_THE_ANSWER)
    second.until_stopped()
    return number, first, second


def take_over(case: Case, number: str) -> None:
    """A living worker takes the order once its lease has ended."""
    until_free(case, number)
    case.step(Step.PAY, number)


def until_free(case: Case, number: str) -> None:
    """Wait until the lease of the order has ended."""
    until(lambda: not case.is_leased(number), seconds=20)


def wake(child: Child) -> None:
    """Let a stopped worker go on to its end."""
    child.signal(signal.SIGCONT)
    assert child.ended() == 0
