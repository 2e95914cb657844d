"""One round trip to Redis for some commands, over connections that stay open and in hand.

redis-py's client takes 70 microseconds of processor time to lend a connection from its pool, look whether it is still
good and give it back, and more to wrap each command; the trip itself takes 20. Here a connection is kept by whoever
uses it, one for each trip that is under way at the same moment. One that died while it was kept shows when it is used:
then the commands are sent once more on a fresh one, as they may be - nobody answered them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from hiredis import pack_command
from redis import ConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeout

Command = tuple[str | bytes | int, ...]


class Wire:
    """A way to the Redis of *pool*; safe to use from any thread or greenlet."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool
        self._kept: Final[list[Any]] = []

    def ask(self, *commands: Command) -> list[Any]:
        """The answers to *commands*, in order; what Redis refuses is a ResponseError among them. Raises RedisError."""
        if self._kept:
            kept = self._kept.pop()
            try:
                return self._ask(kept, commands)
            except RedisTimeout:
                raise
            except RedisConnectionError:
                self.close()  # The others are as old.
        return self._ask(self._pool.get_connection(), commands)

    def close(self) -> None:
        """Let go of what is kept."""
        while self._kept:
            self._let_go(self._kept.pop())

    def _ask(self, connection: Any, commands: Sequence[Command]) -> list[Any]:
        try:
            connection.send_packed_command([_packed(commands)], check_health=False)
            answers = [_answer(connection) for _ in commands]
        except BaseException:
            self._let_go(connection)  # Whatever comes on it belongs to nobody any more.
            raise
        self._kept.append(connection)
        return answers

    def _let_go(self, connection: Any) -> None:
        connection.disconnect()
        self._pool.release(connection)


def _packed(commands: Sequence[Command]) -> bytes:
    packed = [pack_command(command) for command in commands]  # type: ignore[arg-type]  # Its stub means tuples of one.
    return b"".join(packed)


def _answer(connection: Any) -> Any:
    try:
        return connection.read_response()
    except ResponseError as refused:
        return refused


def raised(answer: Any) -> Any:
    """*answer*, if it is one and no refusal; raises RedisError."""
    if isinstance(answer, RedisError):
        raise answer
    return answer
