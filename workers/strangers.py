"""Refuses messages that are not ours before Celery looks into them, and without showing what they hold.

Celery prints the whole body of a message it cannot decode or whose task it does not know, and whoever sent such a
thing may have put a card into it (PCI DSS 3.5.1: no PAN in a log). A body of a form it does not expect ends the worker
with all it has in hand, and again when the message comes back. Ours name a step and an order and nothing else, so
whatever does anything else is dropped and told of by its queue alone; the order it may have meant is due by its row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import structlog
from celery.utils.log import get_logger
from celery.worker import consumer

from shared.messages import is_ours

log = structlog.get_logger(__name__)


class Consumer(consumer.Consumer):  # type: ignore[misc]
    """Celery's consumer behind our door; named by the setting worker_consumer."""

    class Blueprint(consumer.Consumer.Blueprint):  # type: ignore[misc]
        """Without the 28 queues for delayed messages that each start would make at RabbitMQ: no message of ours is."""

        default_steps: ClassVar = [
            step for step in consumer.Consumer.Blueprint.default_steps if not step.endswith(":DelayedDelivery")
        ]

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], None]:
        """What is done with every message of this worker's queues."""
        handle = super().create_task_handler(*args, **kwargs)

        def on_message(message: Any) -> None:
            if is_ours(message.content_type, message.headers, message.body):
                handle(message)
                return
            log.error("message.refused", queue=(message.delivery_info or {}).get("routing_key"))
            message.reject_log_error(get_logger(__name__), self.connection_errors)

        return on_message
