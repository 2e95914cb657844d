"""B2: a connection cut between a commit and its answer costs a repeat, never an order, never a second charge.

Every second cut is late: the client is cut off before the server has the statement, so that a look at the database
right afterwards shows nothing, and the statement has its effect all the same. Nobody may probe by looking.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Final

import pytest
from pydantic import SecretStr
from sqlalchemy.exc import DBAPIError

from shared.config import Settings
from shared.messages import Step
from tests.crash import beginnings
from tests.support import commit_cutter, crash_case
from tests.support.commit_cutter import Cutter
from tests.support.crash_case import Case, Floor
from workers import rescuer
from workers.walk import STEPS

CUTS: Final = int(os.environ.get("C2A_TEST_CUTS", "20"))
"""Cuts at each commit; the long run asks for 200."""
WITHIN_S: Final = 20.0 + CUTS
"""How long the engine room of this process may take for so many orders, one after the other."""
pytestmark = pytest.mark.timeout(60 + 4 * CUTS)

ADMITS: Final = "INSERT INTO idempotency_keys"
HOLDS: Final = "INSERT INTO offer_holds"
CLAIMS: Final = "INSERT INTO payment_attempts"
CAPTURES: Final = "UPDATE payment_attempts"
PUTS_OFF: Final = "SET rings = rings + 1"
COMMIT: Final = "COMMIT"


@pytest.fixture(scope="module")
def cutter(settings: Settings) -> Iterator[Cutter]:
    with commit_cutter.before(settings.database_url.get_secret_value()) as running:
        yield running


@pytest.fixture(scope="module")
def behind(floor: Floor, cutter: Cutter) -> Iterator[Floor]:
    """The same floor, its processes reaching their database through the cutter."""
    through = floor.settings.model_copy(update={"database_url": SecretStr(cutter.url)})
    with crash_case.floor(through, floor.sandbox, floor.hooks) as made:
        yield made


@pytest.mark.parametrize("late", [False, True], ids=["answer lost", "statement late"])
def test_an_order_cut_off_at_its_admission_is_one_order(case: Case, behind: Floor, cutter: Cutter, late: bool) -> None:
    cut_off = replace(case, floor=behind)
    for _ in range(CUTS // 2):
        document = case.document(beginnings.pay_with())
        behind.parts.engine.dispose()  # A connection that knows the statement sends its name alone.
        cutter.cut_at(ADMITS, late=late)
        status, _, _ = cut_off.submit(document)
        cutter.arrived()
        assert status in (HTTPStatus.ACCEPTED, HTTPStatus.SERVICE_UNAVAILABLE)
        assert case.submit(document)[0] == HTTPStatus.ACCEPTED
    assert_sold(case, CUTS // 2)


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit of the engine room, and how an order gets there."""

    name: str
    lead: Callable[[Case], str]
    step: Step
    text: str = COMMIT


COMMITS: Final = (
    Commit("hold", lambda case: case.accepted(beginnings.pay_with()), Step.LOCK_OFFER, HOLDS),
    Commit("claim", beginnings.locked, Step.PAY, CLAIMS),
    Commit("capture", beginnings.locked, Step.PAY, CAPTURES),
    Commit("look-up", beginnings.confirming, Step.LOOK_UP),
    Commit("store", beginnings.captured, Step.TOKENIZE),
)


@pytest.mark.parametrize("commit", COMMITS, ids=lambda commit: commit.name)
def test_a_worker_cut_off_at_a_commit_charges_once(case: Case, behind: Floor, cutter: Cutter, commit: Commit) -> None:
    for number in range(CUTS):
        order = commit.lead(case)
        case.forget_traffic()  # So many answers that got lost would open the PSP's breaker.
        cutter.cut_at(commit.text, late=number % 2 == 1)
        cut_off(STEPS[commit.step], behind.run, order)
        cutter.arrived()
    assert_sold(case, CUTS)


def test_a_worker_cut_off_while_it_gives_money_back_gives_it_back_once(
    case: Case, behind: Floor, cutter: Cutter
) -> None:
    for number in range(CUTS):
        order = beginnings.captured_after_a_no(case)
        cutter.cut_at(COMMIT, late=number % 2 == 1)
        cut_off(STEPS[Step.RETURN_MONEY], behind.run, order)
        cutter.arrived()
    assert case.violations(within_s=WITHIN_S) == []
    assert [charge.net for charge in case.records().charges] == [0] * (2 * CUTS)


def test_a_webhook_cut_off_at_its_commit_is_sent_again_and_has_its_effect_once(
    case: Case, behind: Floor, cutter: Cutter
) -> None:
    for number in range(CUTS):
        hook = case.hook(beginnings.challenged_and_approved(case), "charge.captured")
        cutter.cut_at(COMMIT, late=number % 2 == 1)
        assert replace(case, floor=behind).tell_here(hook) in (HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE)
        cutter.arrived()
        assert case.tell_here(hook) == HTTPStatus.OK
    assert_sold(case, CUTS)


def test_a_rescuer_cut_off_after_its_statement_leaves_no_order_behind(
    case: Case, behind: Floor, cutter: Cutter
) -> None:
    for number in range(CUTS):
        case.accepted_unheard(beginnings.pay_with())  # Else the rescuer sees its message wait, and waits as well.
        case.let_pass(12)  # Past the first patience; 200 times it stays below the hour in which orders expire.
        cutter.cut_at(PUTS_OFF, late=number % 2 == 1)
        cut_off(rescuer.rescue, behind.run)
        cutter.arrived()
    assert_sold(case, CUTS)


def cut_off(work: Callable[..., object], *args: object) -> None:
    """Do *work*, whose connection is cut: it ends with the driver's error, as a task would."""
    with pytest.raises(DBAPIError) as told:
        work(*args)
    assert told.value.connection_invalidated


def assert_sold(case: Case, count: int) -> None:
    """Exactly *count* orders, each charged once, and no broken promise."""
    case.floor.broker.flushdb()
    assert case.violations(within_s=WITHIN_S) == []
    records = case.records()
    assert [order.state for order in records.database.orders] == ["done"] * count
    assert sum(charge.net > 0 for charge in records.charges) == count
