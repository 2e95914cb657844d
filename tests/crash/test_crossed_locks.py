"""B3: locks taken crosswise cost a repeat and nothing else.

No path of ours locks two orders or two offers, so orders alone cannot block each other for good, however many there
are. Somebody with a session of their own can: an operator, a report. Here such a session holds what a step needs next
and asks for what the step holds; PostgreSQL then ends one of the two, and its clock is set so that it is ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Final, LiteralString, TypeVar

import psycopg
import pytest
from sqlalchemy.engine import make_url

from deploy.stack.postgres import ADMIN
from shared.messages import Step
from tests.crash import beginnings
from tests.support import crash_case, refused_in_time
from tests.support.crash_case import PATIENT_REFUSAL, Case, Floor
from tests.support.psp import until
from workers.walk import STEPS, twice_if_undone

T = TypeVar("T")

OFFERS: Final = 10
EACH: Final = 5
"""Orders that reach for each of them."""
STUCK_AFTER_S: Final = 60
"""Until the last of fifty waits, the first may wait: longer than the product lets it, on a machine that is full."""
ANSWER_DELAY_MS: Final = 3_000
"""Time to see that the PSP has the charge, and to lock its row, however slow the machine is."""
DEADLOCK_TIMEOUT_MS: Final = 1_500
"""PostgreSQL looks for a deadlock once, this long after a session began to wait: by then the other has to wait as
well. No statement of ours may take more than 5 s."""
LEASE_S: Final = 9
"""Twice what the PSP's answer and PostgreSQL's look take together: it runs on when the first try was undone."""
PATIENCE_S: Final = 4.0
"""How long a door waits for its database here: until one of the two was ended, however late that is seen."""
HOLD_ANOTHERS: Final[LiteralString] = """
    INSERT INTO offer_holds (tenant_id, offer_identifier, tracking_number)
    SELECT tenant_id, offer_identifier, 'trk_of_an_operator' FROM orders WHERE tracking_number = %s"""
LOCK_ATTEMPT: Final[LiteralString] = "SELECT FROM payment_attempts WHERE tracking_number = %s FOR UPDATE"
LOCK_ORDER: Final[LiteralString] = "SELECT FROM orders WHERE tracking_number = %s FOR UPDATE"
WAITS_FOR_ME: Final[LiteralString] = """
    SELECT 1 FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))"""
"""Of the locks: what pg_stat_activity shows, a transaction is shown once and the same again."""


@pytest.fixture(scope="module", autouse=True)
def _deadlocks_are_looked_for_in_time(postgres_url: str) -> None:
    """After DEADLOCK_TIMEOUT_MS, by all sessions that begin from now on."""
    url = make_url(postgres_url).set(username=ADMIN)
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as conn:
        conn.execute(f"ALTER DATABASE {url.database} SET deadlock_timeout = '{DEADLOCK_TIMEOUT_MS}ms'")


@pytest.fixture(scope="module")
def floor(floor: Floor) -> Iterator[Floor]:
    """A floor whose leases outlast what is undone under them."""
    settings = floor.settings.model_copy(update={"lease_s": LEASE_S})
    with crash_case.floor(settings, floor.sandbox, floor.hooks) as made:
        yield made


@pytest.fixture
def patient(case: Case) -> Iterator[Case]:
    """The same case at a door that waits for its database until PostgreSQL has ended one of two sessions."""
    settings = case.floor.settings.model_copy(update={"database_answer_s": PATIENCE_S})
    with crash_case.floor(settings, case.floor.sandbox, case.floor.hooks) as made:
        yield replace(case, floor=made)


@pytest.fixture
def crowded(case: Case) -> Iterator[Case]:
    """The same case with a connection for each of its workers, all of which may wait at one lock."""
    settings = case.floor.settings.model_copy(
        update={"pool_size": OFFERS * EACH, "statement_timeout_ms": STUCK_AFTER_S * 1_000}
    )
    with crash_case.floor(settings, case.floor.sandbox, case.floor.hooks) as made:
        yield replace(case, floor=made)


@pytest.fixture
def operator(case: Case) -> Iterator[psycopg.Connection[Any]]:
    """An administrator's session that looks for deadlocks so late that it is never the one that is ended."""
    url = make_url(case.floor.settings.database_url.get_secret_value()).set(username=ADMIN)
    with psycopg.connect(url.render_as_string(hide_password=False)) as conn:
        conn.execute("SET deadlock_timeout = '1min'")
        conn.commit()
        yield conn


def crossed(operator: psycopg.Connection[Any], number: str, work: Callable[[], T]) -> T:
    """Do *work*, which needs what the operator has locked, while the operator asks for the order that it has locked;
    what became of it."""
    with ThreadPoolExecutor(1) as pool:
        running: Future[T] = pool.submit(work)
        until(lambda: operator.execute(WAITS_FOR_ME).fetchall(), seconds=20)
        operator.execute(LOCK_ORDER, [number])  # Returns when the other session was ended.
        operator.rollback()
        return running.result(60)


def test_a_worker_that_is_undone_while_it_holds_an_offer_holds_it_at_once_after_all(
    case: Case, operator: psycopg.Connection[Any]
) -> None:
    number = case.accepted(beginnings.pay_with())
    operator.execute(HOLD_ANOTHERS, [number])

    assert crossed(operator, number, lambda: take(case, Step.LOCK_OFFER, number))
    assert case.state(number) == "offer_locked"
    assert case.violations() == []
    assert case.state(number) == "done"


def test_a_worker_that_is_undone_while_it_writes_a_capture_down_charges_once(
    case: Case, operator: psycopg.Connection[Any]
) -> None:
    number = beginnings.locked(case)
    case.floor.sandbox.set_faults(answerDelayMs=ANSWER_DELAY_MS)

    with ThreadPoolExecutor(1) as pool:
        paying = pool.submit(take, case, Step.PAY, number)
        until(lambda: case.floor.sandbox.charges(case.account), seconds=20)
        operator.execute(LOCK_ATTEMPT, [number])
        assert not crossed(operator, number, paying.result), "the lease is still that of the first try"
    assert case.violations() == []
    assert case.state(number) == "done"


def test_a_webhook_that_is_undone_is_refused_in_plain_words_and_has_its_effect_when_it_comes_again(
    case: Case, patient: Case, operator: psycopg.Connection[Any]
) -> None:
    number = beginnings.challenged_and_approved(case)
    hook = case.hook(number, "charge.captured")
    operator.execute(LOCK_ATTEMPT, [number])

    status, told, _ = crossed(operator, number, lambda: patient.told_here(hook))
    assert (status, told) == (503, PATIENT_REFUSAL)
    assert case.tell_here(hook) == 200
    assert case.violations() == []
    assert case.state(number) == "done"


def test_an_order_whose_key_somebody_holds_is_refused_in_time_and_in_plain_words(
    case: Case, operator: psycopg.Connection[Any]
) -> None:
    document = case.document(beginnings.pay_with())
    key = document["order"]["correlationId"]
    operator.execute(
        "INSERT INTO idempotency_keys (tenant_id, key, tracking_number, digest) VALUES (%s, %s, 'trk_x', '')",
        [case.seller.shop.tenant_id, key],
    )

    status, told, _ = case.submit(document)
    assert (status, told) == (503, PATIENT_REFUSAL)
    assert refused_in_time.is_in_time(case, document)
    operator.rollback()
    assert case.submit(document)[0] == 202
    assert case.violations() == []


def test_of_fifty_workers_that_reach_for_ten_offers_at_one_moment_ten_hold_one(
    case: Case, crowded: Case, operator: psycopg.Connection[Any]
) -> None:
    """Each reaches for its offer while none has it, and goes on when all of them wait there."""
    offers = [case.seller.offer() for _ in range(OFFERS)]
    numbers = [case.accepted(beginnings.pay_with(), offer=offer) for offer in offers * EACH]
    for number in numbers[:OFFERS]:
        operator.execute(HOLD_ANOTHERS, [number])

    with ThreadPoolExecutor(len(numbers)) as workers:
        reaching = [workers.submit(take, crowded, Step.LOCK_OFFER, number) for number in numbers]
        until(lambda: len(operator.execute(WAITS_FOR_ME).fetchall()) == len(numbers), seconds=STUCK_AFTER_S / 2)
        operator.rollback()
        held = {number for number, one in zip(numbers, reaching, strict=True) if one.result(STUCK_AFTER_S)}

    assert [len(held.intersection(numbers[at::OFFERS])) for at in range(OFFERS)] == [1] * OFFERS
    assert case.violations(within_s=60) == []


def take(case: Case, step: Step, number: str) -> bool | None:
    """A worker takes the message for *step*, as its door does."""
    return twice_if_undone(STEPS[step], case.floor.run, number)
