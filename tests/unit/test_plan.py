"""Every plan holds its promise in a simulated run; with one server fewer than needed it is seen to break."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Final

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from api.server import OPTIONS
from shared.messages import QUEUE_OF
from shared.planning import costs, plan, pools, trial
from shared.planning.costs import API, Costs
from shared.planning.plan import MOST_CONNECTIONS, Plan
from shared.planning.pools import ALONE, PAYMENT, UPKEEP, Pool
from shared.planning.question import LEAST_FREE, LONGEST_PSP_MS, MOST_FREE, Question

COSTS: Final = costs.load()
SECONDS_A_PLAN: Final = 2.0
TRIED: Final = settings(
    max_examples=20,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],  # A run takes a quarter of a second: too long to try smaller ones after.
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
QUESTIONS: Final = st.builds(
    Question,
    orders_per_second=st.floats(0.01, 30_000),
    psp_ms=st.floats(1, LONGEST_PSP_MS),
    polls_per_order=st.floats(0, 100),
    free=st.floats(LEAST_FREE, MOST_FREE),
)
QUICK_COSTS: Final = COSTS.model_copy(
    update={
        "poll_ms": {API: 0.2},
        "admission_ms": {API: 0.6, "postgres": 0.1},
        "order_ms": {"worker-payment": 1.0},
    }
)
"""As if the hot path were ten times as fast and one worker did all steps: fewer shards, so larger pools."""
SOME_COSTS: Final = st.sampled_from([COSTS, QUICK_COSTS])


def made(question: Question, of: Costs = COSTS) -> Plan:
    return plan.make(question, of)


def pool_of(one: Plan, name: str) -> Pool:
    [found] = [pool for pool in one.pools if pool.name == name]
    return found


def changed(one: Plan, pool: Pool) -> Plan:
    """The plan with *pool* instead of its own."""
    return replace(one, pools=tuple(pool if had.name == pool.name else had for had in one.pools))


@TRIED
@given(question=QUESTIONS, of=SOME_COSTS, seed=st.integers(0, 1_000))
def test_a_simulated_run_of_any_plan_holds_what_it_promises(question: Question, of: Costs, seed: int) -> None:
    tried = trial.of(made(question, of), seed=seed)

    assert tried.faults == []
    assert all(abs(one.seen - one.predicted) <= trial.WITHIN for one in tried.tried)
    assert all(one.predicted <= 1 - question.free + 1e-9 for one in tried.tried)


@TRIED
@given(question=QUESTIONS, of=SOME_COSTS, seed=st.integers(0, 1_000), which=st.integers(0, 9))
def test_one_core_fewer_than_needed_is_seen_as_a_queue_that_grows(
    question: Question, of: Costs, seed: int, which: int
) -> None:
    one = made(question, of)
    loaded = [pool for pool in one.pools if pool.load >= 1 and pool.name not in pools.BESIDE]
    assume(loaded)
    pool = loaded[which % len(loaded)]
    too_few = changed(one, replace(pool, cores=pools.least(pool.load) - 1))

    faults = trial.of(too_few, seed=seed).faults

    assert any(fault.startswith(f"{pool.name}: ") and "grows" in fault for fault in faults)


@TRIED
@given(
    rate=st.floats(1, 300),
    psp_ms=st.floats(50, LONGEST_PSP_MS),
    free=st.floats(LEAST_FREE, 0.5),
    seed=st.integers(0, 9),
)
def test_one_place_fewer_than_littles_law_asks_for_is_seen_as_a_queue_that_grows(
    rate: float, psp_ms: float, free: float, seed: int
) -> None:
    one = made(Question(rate, psp_ms, free=free), QUICK_COSTS)
    payment = pool_of(one, PAYMENT)
    assert payment.waiting is not None
    assume(payment.waiting.held >= 1)
    places = pools.least(payment.waiting.held) - 1
    too_few = changed(one, replace(payment, processes=places, places_each=1))

    faults = trial.of(too_few, seed=seed).faults

    assert any(f"payment: {places} places are too few" in fault for fault in faults)


def test_a_plan_is_tried_in_less_than_two_seconds_of_processor_time() -> None:
    began = time.process_time()
    for question in (Question(10_000, LONGEST_PSP_MS), Question(30_000, 1, polls_per_order=100)):
        trial.of(made(question, QUICK_COSTS), seed=1)

    assert time.process_time() - began < 2 * SECONDS_A_PLAN


def test_the_same_seed_tells_the_same_story() -> None:
    one = made(Question(100, 200))

    assert trial.of(one, seed=3).document() == trial.of(one, seed=3).document()
    assert trial.of(one, seed=3).document() != trial.of(one, seed=4).document()


@given(question=QUESTIONS)
def test_a_pool_may_lose_a_process_and_carry_on(question: Question) -> None:
    for pool in made(question).pools:
        assert pool.cores - 1 >= pool.load or pool.name == ALONE
        assert pool.waiting is None or pool.places >= pool.waiting.held + 1


@given(question=QUESTIONS)
def test_no_shard_is_asked_for_more_than_its_servers_carry_and_no_shard_is_spare(question: Question) -> None:
    one = made(question)
    fewer = one.shards - 1

    assert all(part.carries >= one.question.orders_per_second * (1 - 1e-6) for part in one.parts)
    assert fewer == 0 or any(part.carries < question.orders_per_second / fewer for part in one.parts)
    assert one.faults == []


def test_a_payment_waits_in_processes_while_they_are_few_and_in_threads_beyond() -> None:
    few, many = (pool_of(made(Question(rate, 200), QUICK_COSTS), PAYMENT) for rate in (100, 1_000))

    assert (few.places_each, few.start.partition("-P ")[2]) == (1, f"prefork -c {few.per}")
    assert (many.places_each, many.start.partition("-P ")[2]) == (256, "threads -c 256")
    assert pool_of(made(Question(1_000, 200), QUICK_COSTS), ALONE).processes == 2


def test_every_queue_is_read_by_somebody_where_one_pool_was_measured_for_several() -> None:
    one_pool, by_queue = (
        COSTS.model_copy(update={"order_ms": {f"worker-{queue}": 1.0 for queue in queues}})
        for queues in (("payment", "upkeep"), ("offer-lock", "payment", "tokenization", "upkeep"))
    )

    for of in (one_pool, by_queue):
        starts = [pool.start for pool in made(Question(10, 200), of).pools if pool.name != API]
        read = [queue for start in starts for queue in start.split("-Q ")[1].split(" ")[0].split(",")]
        assert sorted(read) == sorted(set(QUEUE_OF.values()))
    assert "-Q payment,offer-lock,tokenization -P" in pool_of(made(Question(10, 200), one_pool), PAYMENT).start


def test_a_slower_psp_takes_more_places_and_no_more_cores() -> None:
    fast, slow = (pool_of(made(Question(50, psp_ms)), PAYMENT) for psp_ms in (200, 400))

    assert fast.waiting is not None
    assert slow.waiting is not None
    assert slow.waiting.held == pytest.approx(fast.waiting.held + 50 * 0.2)
    assert slow.load == fast.load


def test_a_psp_that_takes_fewer_calls_than_orders_come_is_told_and_no_shard_helps() -> None:
    allowed, refused = (made(Question(90, 200, psp_limit_per_second=limit)) for limit in (100, 99))

    assert allowed.faults == []
    [fault] = refused.faults
    assert fault.startswith("PSP: it carries 89.1 of 90 orders/s")
    assert made(Question(9_000, 200, psp_limit_per_second=100)).faults


def test_the_first_part_to_be_full_is_the_one_that_carries_least_in_one_installation() -> None:
    one = made(Question(1_000, 200, psp_limit_per_second=50))

    assert one.first_full.name == "PSP"
    assert one.first_full.carries == pytest.approx(45)
    assert made(Question(1_000, 200, postgres_cores=1), COSTS).first_full.carries < 1_000


def test_a_pooler_is_asked_for_past_so_many_connections() -> None:
    small, large = (
        made(Question(rate, 200, postgres_cores=1_000, wal_mb_per_second=10_000), QUICK_COSTS) for rate in (100, 9_000)
    )

    assert small.connections <= MOST_CONNECTIONS
    assert not small.needs_pgbouncer
    assert large.connections > MOST_CONNECTIONS
    assert large.needs_pgbouncer
    assert large.active_connections < large.connections


def test_memory_and_disk_are_those_of_what_was_measured() -> None:
    one = made(Question(100, 200))

    assert one.vault_memory == pytest.approx(100 * 900 * COSTS.card_bytes)
    assert one.broker_memory == pytest.approx(100 * 3_600 * COSTS.message_bytes)
    assert one.disk_a_month == pytest.approx(100 * 30 * 86_400 * COSTS.disk_bytes * 1.5)


def test_what_it_says_of_the_api_is_how_the_api_runs() -> None:
    assert OPTIONS["worker_connections"] == pools.GREENLETS
    assert {UPKEEP, ALONE} == pools.BESIDE
