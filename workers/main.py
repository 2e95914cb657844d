"""The door of the engine room: `celery -A workers.main worker -Q payment`.

One queue a step, each scaled alone. Celery gives "usually once, sometimes never, sometimes twice at the same
moment"; never is the rescuer's job, twice is the job of the row's fence. What is set here is set for that: late
acknowledgement, no results, no countdowns (waits live in the row), bounded retries of a publish, and nothing but
JSON that names an order.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from celery import Celery, concurrency, signals

from shared import broker, logs, start
from shared.config import Settings
from shared.messages import ALONE_OF, CROWD_OF, FRONT_OF, QUEUE_OF, queues
from shared.observe import counts, traces
from shared.psp import factory
from shared.psp.port import Account, Psp
from workers import doors, liveness, metrics_step, rescue_step

STEP_LIMIT_S = 90
"""A pool child that still runs then hangs (prefork only): a payment asks three PSPs, 15 s each, and the step after it
one of them again. Below the visibility timeout."""


def create(settings: Settings, psp_for: Callable[[Account], Psp] = factory.psp_for) -> Celery:
    """The Celery app of one worker, which reaches the PSP of an account by *psp_for*."""
    broker.install()
    url = settings.broker_url.get_secret_value()
    app = Celery("c2a", broker=url, set_as_current=False)
    app.conf.update(
        broker_transport_options=broker.options(url),
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,  # The default gives up after 100 tries.
        broker_channel_error_retry=False,  # A broker out of memory: exit and let the supervisor back off.
        broker_pool_acquire_timeout=2,
        task_acks_late=True,
        task_reject_on_worker_lost=False,  # A lost worker's order is rescued by its row, without a hot loop.
        task_acks_on_failure=True,
        task_acks_on_timeout=True,
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        task_publish_retry_policy={"max_retries": 5, "interval_start": 0.1, "interval_step": 0.3, "interval_max": 1},
        broker_heartbeat=30,  # RabbitMQ alone: a connection that died on the way is noticed after a minute at most.
        task_queues=[broker.queue(name, url) for name in queues()],
        task_default_queue="upkeep",
        task_create_missing_queues=False,
        task_routes={str(step): {"queue": queue} for step, queue in QUEUE_OF.items()},
        worker_consumer="workers.strangers:Consumer",
        worker_prefetch_multiplier=1,
        worker_cancel_long_running_tasks_on_connection_loss=False,  # True would cut a payment in the middle.
        worker_max_tasks_per_child=5_000,
        worker_disable_rate_limits=True,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_enable_remote_control=False,  # A broadcast could shut payment down; operators use the supervisor.
        task_time_limit=STEP_LIMIT_S,
    )
    doors.register(app, settings, psp_for, served=lambda: app.amqp.queues.consume_from)
    app.c2a_settings = settings
    app.steps["worker"].update({liveness.Liveness, metrics_step.MetricsStep, rescue_step.RescueStep})
    signals.setup_logging.connect(lambda **_: logs.configure(settings.log_level), weak=False)
    signals.celeryd_after_setup.connect(lambda **_: counts.share(settings), weak=False)
    signals.celeryd_after_setup.connect(lambda **_: traces.begin("c2a-worker"), weak=False)
    signals.worker_process_shutdown.connect(lambda **_: traces.tracing().flush(), weak=False)  # A child ends at once.
    signals.celeryd_after_setup.connect(lambda **_: start.guarded(settings), weak=False)  # Before it forks.
    signals.celeryd_after_setup.connect(
        lambda instance, **_: read_side_queues(app, works_in_processes(instance)), weak=False
    )
    return app


def read_side_queues(app: Celery, in_processes: bool) -> None:
    """Whoever reads a step's queue also reads the ones for dropped work of that step and for a crowd's, whatever -Q
    said; and, if its work is done *in_processes*, the one for orders that may have taken a worker down.

    In turn: kombu asks Redis last for the queue that it had a message from; RabbitMQ hands on from each as it is asked.
    """
    queues = app.amqp.queues
    for step, queue in QUEUE_OF.items():
        if queue in queues.consume_from:
            sides = [FRONT_OF.get(step), CROWD_OF.get(step), ALONE_OF.get(step) if in_processes else None]
            for side in filter(None, sides):
                queues.select_add(queues[side])


def works_in_processes(worker: Any) -> bool:
    """Whether each step of *worker* has a process to itself, so that its death is nobody else's."""
    return str(concurrency.get_implementation(worker.pool_cls).__module__).endswith("prefork")


@cache
def _app() -> Celery:
    return create(Settings())


def __getattr__(name: str) -> Celery:
    """`app`, made when the celery command asks for it: importing this file does nothing."""
    if name == "app":
        return _app()
    raise AttributeError(name)
