"""How every process reaches the broker, Redis or RabbitMQ by its address: bounded sockets, and mended transports.

RabbitMQ's is in shared/rabbitmq.py. Redis' survives a restart of Redis.

kombu 5.7.0 closes a channel twice when its server goes away under a blocking pop; the second close builds a
client from a connection that is gone and raises AttributeError, which ends a celery 5.7.0 worker with its running
tasks. The mixin lets the first close finish. It also keeps one redis client a channel: kombu builds one for every
publish and acknowledgement, 90 microseconds each. And an acknowledgement that does not reach Redis frees its place:
kombu counts it as taken for as long as the channel lives, and a worker that was busy in all its places when Redis died
would never read a queue, and so never notice, again. What is on a list of ours and is no message is dropped unseen:
kombu would raise, and the worker end. All hold for exactly this pair of versions; pyproject pins them.
"""

from __future__ import annotations

import re
from json import JSONDecodeError
from queue import Empty
from typing import Any, Final

import structlog
from kombu.connection import Connection
from kombu.entity import Queue
from kombu.exceptions import KombuError
from kombu.transport import TRANSPORT_ALIASES
from kombu.transport import redis as kombu_redis
from redis.exceptions import RedisError

from shared import rabbitmq
from shared.messages import queues

log = structlog.get_logger(__name__)

_BASE64: Final = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")

REDIS_OPTIONS: Final[dict[str, Any]] = {
    "visibility_timeout": 180,  # More than a step's limit (90 s) and a publish retried for 50 s; less would run twice.
    "unacked_restore_interval": 5,  # A killed worker's messages come back after 180 + 5 s; the rescuer is faster.
    "unacked_restore_throttle": 1,
    "socket_timeout": 5,  # Without it a publish to a silent broker hangs for ever.
    "socket_connect_timeout": 2,
    "socket_keepalive": True,
    "health_check_interval": 10,
    "priority_steps": [0],  # No priorities: one list a queue, so its length is the queue's depth.
    "max_connections": 50,
}
AWAY: Final[tuple[type[Exception], ...]] = (KombuError, RedisError, OSError, *rabbitmq.AWAY)
"""What tells that a broker is not there, or does not take what it is given."""


class _SurvivesRestart:
    """Mixed in before kombu's channel."""

    _kept_client: Any = None

    def close(self: Any) -> None:
        if self._in_poll:
            try:
                self._brpop_read()
            except Empty:
                pass
            except self.connection_errors:
                self._in_poll = None  # The socket is dead: there is nothing to read before closing.
        self._kept_client = None
        super().close()  # type: ignore[misc]

    def _brpop_read(self: Any, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[misc]
        except (JSONDecodeError, UnicodeDecodeError):
            log.exception("message.refused", why="not JSON")
            return True  # It was read, and there is nothing in it that could be worked on or given back.

    def _create_client(self: Any, asynchronous: bool = False) -> Any:
        if asynchronous:
            return super()._create_client(True)  # type: ignore[misc]  # noqa: FBT003
        if self._kept_client is None or self._kept_client.connection_pool is not self.pool:
            self._kept_client = super()._create_client(False)  # type: ignore[misc]  # noqa: FBT003
        return self._kept_client


class _FreesItsPlace(kombu_redis.QoS):
    """kombu's count of messages in hand, mended: what is done here is done, whatever Redis heard of it.

    A message Redis still holds as unacknowledged comes back after the visibility timeout: one doorbell too many.
    """

    def ack(self, delivery_tag: str) -> None:
        try:
            super().ack(delivery_tag)  # type: ignore[no-untyped-call]
        except Exception:
            self._quick_ack(delivery_tag)
            raise

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        try:
            super().reject(delivery_tag, requeue=requeue)  # type: ignore[no-untyped-call]
        except Exception:
            self._quick_ack(delivery_tag)
            raise


class Channel(_SurvivesRestart, kombu_redis.Channel):  # type: ignore[misc]
    """kombu's Redis channel, mended."""

    QoS = _FreesItsPlace


class Transport(kombu_redis.Transport):
    """kombu's Redis transport, with the mended channel."""

    Channel = Channel

    def _deliver(self, message: Any, queue: str) -> None:
        if _is_envelope(message):
            super()._deliver(message, queue)  # type: ignore[no-untyped-call]
        else:
            log.error("message.refused", why="no envelope", queue=queue)


def _is_envelope(message: Any) -> bool:
    """Whether kombu can make a message of it; what it would do with anything else ends the worker."""
    match message:
        case {
            "body": str(body),
            "content-type": str(),
            "content-encoding": str(),
            "headers": dict(),
            "properties": {"delivery_tag": str(), "delivery_info": dict(), "body_encoding": "base64"},
        }:
            return _BASE64.fullmatch(body) is not None
    return False


def install() -> None:
    """Make broker addresses of this process use the mended transports; idempotent."""
    TRANSPORT_ALIASES["redis"] = TRANSPORT_ALIASES["rediss"] = f"{__name__}:Transport"
    rabbitmq.install()


def is_redis(url: str) -> bool:
    """Whether the broker at *url* is a Redis; else it is a RabbitMQ."""
    return url.startswith("redis")


def options(url: str) -> dict[str, Any]:
    """The transport options for the broker at *url*."""
    return REDIS_OPTIONS if is_redis(url) else rabbitmq.OPTIONS


def queue(name: str, url: str) -> Any:
    """The queue *name* as it is declared at the broker at *url*."""
    return Queue(name) if is_redis(url) else rabbitmq.queue(name)  # type: ignore[no-untyped-call]


def connect(url: str, *, socket_timeout_s: float) -> Connection:
    """A connection for publishing; opened on first use."""
    install()
    return Connection(url, transport_options=options(url) | {"socket_timeout": socket_timeout_s})  # type: ignore[no-untyped-call]


def producer(url: str, *, socket_timeout_s: float) -> Any:
    """A producer on a connection of its own, whose queues are there. Raises what AWAY names."""
    connection = connect(url, socket_timeout_s=socket_timeout_s)
    try:
        made = connection.Producer(auto_declare=False)  # type: ignore[no-untyped-call]
        if not is_redis(url):  # A list of Redis comes with its first message.
            rabbitmq.declare(made.channel, queues())
    except AWAY:
        connection.collect(socket_timeout=socket_timeout_s)  # type: ignore[no-untyped-call]
        raise
    return made
