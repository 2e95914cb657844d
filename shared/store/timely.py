"""A database connection that never waits for ever: a server that goes silent is away, like one that refuses.

`statement_timeout` is the server's own clock and does nothing when the server is stopped or its packets vanish;
TCP keeps such a connection alive for minutes. So the client counts as well. A connection that waited in vain is
closed: whatever its statement did, nobody can say, and it must not be used again.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any, ClassVar, Self

import psycopg
from psycopg.pq import TransactionStatus


class TimelyConnection(psycopg.Connection[Any]):
    """A connection whose every wait for an answer has an end; made by `timely`."""

    answer_within_s: ClassVar[float]

    @classmethod
    def _connect_gen(cls, conninfo: str = "") -> Generator[Any, Any, Self]:
        """The greeting is an answer too. psycopg's connect_timeout counts whole seconds and no less than 2.

        Whoever drives it comes by every 0.1 s, with or without news of the socket.
        """
        ends_at = time.monotonic() + cls.answer_within_s
        steps, news = super()._connect_gen(conninfo), None
        try:
            while time.monotonic() < ends_at:
                news = yield steps.send(news)  # type: ignore[arg-type]  # A generator is started with None.
        except StopIteration as done:
            connected: Self = done.value
            return connected
        raise psycopg.errors.ConnectionTimeout("connection timeout expired")

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """Wait for *gen* as psycopg does, at most answer_within_s; raises OperationalError and is closed after it."""
        try:
            return super().wait(gen, interval, self.answer_within_s if timeout is None else timeout)
        except psycopg.OperationalError:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                self.close()
            raise


def timely(answer_within_s: float) -> type[TimelyConnection]:
    """The connection class for a process that gives its database *answer_within_s* seconds an answer."""
    return type("TimelyConnection", (TimelyConnection,), {"answer_within_s": answer_within_s})
