"""For which tenant this piece of work acts, and how PostgreSQL learns it with every statement.

Row-level security shows the front door the rows of one tenant (row_security.py). Which one is a setting of the
transaction, `c2a.tenant`: it is set, as SET LOCAL does, in front of every statement and in the same round trip. Both
travel in one pipeline, which PostgreSQL runs as one transaction up to its Sync message (PostgreSQL protocol 3.0,
"Pipelining"), so the setting is there for the statement and gone with it: nothing is left on a connection that goes
back to the pool, however its transaction ended. No tenant is the empty text, and that is nobody's row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, Final, Self
from uuid import UUID

import psycopg
from psycopg.abc import Params

SET: Final = b"SELECT set_config('c2a.tenant', $1, true)"
"""The statement that goes before every other: $1 is `present()`."""
_acting_for: Final[ContextVar[UUID | None]] = ContextVar("c2a_tenant", default=None)


def act_for(tenant_id: UUID | None) -> None:
    """From here on this thread or greenlet acts for *tenant_id*; None: for nobody."""
    _acting_for.set(tenant_id)


@contextmanager
def acting_for(tenant_id: UUID) -> Iterator[None]:
    """Act for *tenant_id* within the block, and then for whomever it was before."""
    before = _acting_for.set(tenant_id)
    try:
        yield
    finally:
        _acting_for.reset(before)


def present() -> bytes:
    """The tenant this piece of work acts for, as SET takes it."""
    tenant_id = _acting_for.get()
    return b"" if tenant_id is None else str(tenant_id).encode()


class TenantCursor(psycopg.Cursor[Any]):
    """A cursor whose every statement runs for the tenant this piece of work acts for."""

    def execute(self, query: Any, params: Params | None = None, **how: Any) -> Self:
        """Run one statement, its tenant set before it, in one round trip."""
        with self._tenant_first():
            super().execute(query, params, **how)
        return self

    def executemany(self, query: Any, params_seq: Iterable[Params], *, returning: bool = False) -> None:
        """Run one statement with each of *params_seq*, the tenant set before them, in one round trip."""
        with self._tenant_first():
            super().executemany(query, params_seq, returning=returning)

    @contextmanager
    def _tenant_first(self) -> Iterator[None]:
        with self.connection.pipeline() as pipeline:
            # As Pipeline itself queues a Sync: sent with what follows, and its result only checked for an error.
            pipeline.command_queue.append(partial(self._pgconn.send_query_params, SET, [present()]))
            pipeline.result_queue.append(None)
            yield
