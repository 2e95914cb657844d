"""How every process talks to RabbitMQ: each wait has an end, and each queue is kept by a majority of nodes.

amqp 5.4 waits for ever for an answer, a confirmation of a publish among them: its own timeouts end a connection's
beginning, or are tried again. A node that keeps its connections and says nothing would so take the thread of a bell or
of the rescuer for good. The socket's own timeout ends every one of those waits.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from kombu.entity import Exchange, Queue
from kombu.transport import TRANSPORT_ALIASES, pyamqp

OPTIONS: Final[dict[str, Any]] = {
    "confirm_publish": True,  # Without it a publish that is refused is lost in silence.
    "socket_timeout": 5.0,
    "connect_timeout": 2.0,
    "max_retries": 1,  # Of connecting where a publish finds no connection; as it comes it goes on for ever.
    "interval_start": 0,
}
"""Of a connection; kombu hands on to amqp what it does not take itself."""

AWAY: Final[tuple[type[Exception], ...]] = (
    *pyamqp.Transport.connection_errors,
    *pyamqp.Transport.channel_errors,
    *pyamqp.Transport.recoverable_connection_errors,  # A publish that was refused is one of these alone.
)
"""What amqp raises where RabbitMQ is not there, or does not take what it is given."""

QUEUE_ARGUMENTS: Final = {
    "x-queue-type": "quorum",
    # RabbitMQ 4's own limit, so that 3 has one, too. Then the message is dropped: the row rings again, and counts.
    "x-delivery-limit": 20,
}


class _EndsItsWaits:
    """Mixed in before kombu's transport."""

    def establish_connection(self: Any) -> Any:
        connection = super().establish_connection()  # type: ignore[misc]
        connection.transport.sock.settimeout(self.client.transport_options.get("socket_timeout"))
        return connection


class Transport(_EndsItsWaits, pyamqp.Transport):
    """kombu's transport for amqp://, mended."""


class SSLTransport(_EndsItsWaits, pyamqp.SSLTransport):
    """kombu's transport for amqps://, mended."""


def install() -> None:
    """Make amqp:// and amqps:// addresses of this process use the mended transports; idempotent."""
    TRANSPORT_ALIASES["amqp"] = TRANSPORT_ALIASES["pyamqp"] = f"{__name__}:Transport"
    TRANSPORT_ALIASES["amqps"] = f"{__name__}:SSLTransport"


def queue(name: str) -> Any:
    """The queue *name*. Its exchange is its own: Celery would bind all queues to one name of one exchange."""
    return Queue(  # type: ignore[no-untyped-call]
        name,
        Exchange(name, type="direct"),  # type: ignore[no-untyped-call]
        routing_key=name,
        queue_arguments=QUEUE_ARGUMENTS,
    )


def declare(channel: Any, names: Iterable[str]) -> None:
    """See that the queues *names* are there: RabbitMQ drops what is published to one that is not, and says nothing.

    Raises what `shared.broker.AWAY` names.
    """
    for name in names:
        queue(name)(channel).declare()
