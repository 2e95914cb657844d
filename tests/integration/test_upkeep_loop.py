"""Who reads the upkeep queue runs every loop of it, a loop looks again whatever happened to its last look, and who
reads a queue reads its front queue."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import SimpleNamespace

import pytest
from celery import Celery
from pydantic import SecretStr
from redis import Redis
from sqlalchemy import Engine

from shared.config import Settings
from shared.domain.states import OrderState
from shared.messages import QUEUE_OF, Step
from shared.outlook import KEY
from shared.store import months
from shared.store.engine import create_engine, statements
from tests.support.last_month import without_last_month
from tests.support.order_rows import again, an_order
from tests.support.own_postgres import OwnPostgres, own_postgres
from tests.support.psp import until
from tests.support.told import told_of
from workers import main, rescuer
from workers.loop import Loop
from workers.rescue_step import RescueStep
from workers.runtime import build

LOOPS = {"rescuer", "foresight", "examiner", "keeper", "tenant-events", "gauges"}


@pytest.fixture
def database() -> Iterator[OwnPostgres]:
    with own_postgres() as running:
        yield running


@contextmanager
def begun(settings: Settings, *, queue: str) -> Iterator[dict[str, Loop]]:
    """The loops of a worker that reads *queue*, by their names, once it began."""
    app = main.create(settings)
    app.amqp.queues.select([queue])
    worker = SimpleNamespace(app=app)
    step = RescueStep(worker)
    step.start(worker)
    try:
        yield {loop.name: loop for loop in step.loops}
    finally:
        step.stop(worker)
        app.c2a_runtime().doorbell.close()
        app.c2a_runtime().engine.dispose()


def test_a_worker_of_the_upkeep_queue_begins_every_loop_and_no_other_worker_any(settings: Settings) -> None:
    seen = settings.model_copy(update={"metrics_port": 9})  # Whoever is scraped counts; nobody listens for it here.
    with begun(seen, queue="upkeep") as loops:
        running = {thread.name for thread in threading.enumerate()}
    assert loops.keys() == LOOPS <= running
    with begun(seen, queue="payment") as loops:
        assert loops == {}


def test_the_loops_of_upkeep_count_who_waits_examine_and_keep_room(
    settings: Settings, engine: Engine, vault_url: str
) -> None:
    months.make(engine)
    last = without_last_month(engine)
    with statements(engine) as conn:
        assert months.missing(conn) == [last]

    with begun(settings, queue="upkeep") as loops, Redis.from_url(vault_url) as redis:
        with told_of("doctor") as told:
            loops["examiner"].round(0)
        loops["keeper"].round(1)
        until(lambda: bool(redis.exists(KEY)), seconds=10)

    assert [line["event"] for line in told] == ["doctor.examined"]
    with statements(engine) as conn:
        assert not months.missing(conn)


def test_the_rescuer_goes_on_after_its_database_was_cut_off_in_mid_loop(
    database: OwnPostgres, settings: Settings
) -> None:
    own = settings.model_copy(update={"database_url": SecretStr(database.url)})
    run, engine = build(own), create_engine(own)
    before = an_order(engine, OrderState.CONFIRMING, due_in=timedelta(seconds=-1))
    looks = threading.Semaphore(0)

    def look(number: int) -> None:
        looks.release()
        rescuer.look(run, number)

    loop = Loop("rescuer", 0.05, look)
    loop.start()
    until(lambda: again(engine, before.tracking_number).rings == 1)
    database.crash()
    for _ in range(3):
        assert looks.acquire(timeout=20), "it looks again, database or not"
    database.start()
    engine.dispose()
    after = an_order(engine, OrderState.CONFIRMING, due_in=timedelta(seconds=-1))
    until(lambda: again(engine, after.tracking_number).rings == 1, seconds=20)
    loop.stop()
    run.doorbell.close()
    run.engine.dispose()
    engine.dispose()


def test_a_loop_outlives_a_bug_in_one_of_its_rounds() -> None:
    rounds: list[int] = []
    third = threading.Event()

    def work(number: int) -> None:
        rounds.append(number)
        if number == 2:
            third.set()
        raise ValueError(number)

    loop = Loop("test", 0.01, work)
    loop.start()
    assert third.wait(5)
    loop.stop()
    assert rounds[:3] == [0, 1, 2]


@pytest.mark.parametrize(
    ("asked", "pool", "reads"),
    [
        (Step.PAY, "prefork", ["payment", "payment-alone", "payment-crowd", "payment-resumed"]),
        (Step.PAY, "threads", ["payment", "payment-crowd", "payment-resumed"]),
        (Step.TOKENIZE, "prefork", ["tokenization", "tokenization-crowd"]),
        (Step.LOOK_UP, "threads", ["upkeep"]),
    ],
)
def test_a_worker_reads_dropped_work_and_a_crowds_too_and_what_may_kill_it_in_processes_alone(
    settings: Settings, asked: Step, pool: str, reads: list[str]
) -> None:
    app: Celery = main.create(settings)
    app.amqp.queues.select([QUEUE_OF[asked]])
    worker = SimpleNamespace(pool_cls=pool)
    main.read_side_queues(app, main.works_in_processes(worker))
    assert sorted(app.amqp.queues.consume_from) == reads
