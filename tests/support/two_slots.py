"""A worker with two slots on the product's mended transport, for trying what a broker's death does to it.

A task holds its slot until the test lets it go, by a name in a Redis that is not the broker.
"""

from __future__ import annotations

import os

import redis
from celery import Celery

from shared import broker

broker.install()
URL = os.environ["BROKER_URL"]
app = Celery("two_slots", broker=URL)
app.conf.update(
    broker_transport_options=broker.options(URL),
    broker_connection_max_retries=None,
    broker_connection_retry_on_startup=True,
    task_acks_late=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=1,
    worker_enable_remote_control=False,  # As in the product: no second connection that would notice a broker's death.
    worker_cancel_long_running_tasks_on_connection_loss=False,
)


@app.task(name="hold")  # type: ignore[untyped-decorator]
def hold(name: str) -> None:
    """Say that *name* runs, wait until it is let go (at most a minute), say that it is done."""
    with redis.Redis.from_url(os.environ["VAULT_URL"]) as signals:
        signals.incr(f"{name}:running")
        signals.blpop([f"{name}:go"], timeout=60)
        signals.incr(f"{name}:done")
