"""A database connection that never waits for ever: a server that goes silent is away, like one that refuses.

`statement_timeout` is the server's own clock and does nothing when the server is stopped or its packets vanish;
TCP keeps such a connection alive for minutes. So the client counts as well. A connection that waited in vain is
closed: whatever its statement did, nobody can say, and it must not be used again.
"""

from __future__ import annotations

from typing import Any, ClassVar

import psycopg
from psycopg.pq import TransactionStatus


class TimelyConnection(psycopg.Connection[Any]):
    """A connection whose every wait for an answer has an end; made by `timely`."""

    answer_within_s: ClassVar[float]

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
