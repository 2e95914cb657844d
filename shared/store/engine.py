"""How we reach PostgreSQL: one pool a process, every wait bounded, one round trip where one statement is enough.

Single statements run in autocommit (`statements`): the statement is the transaction, and no BEGIN or COMMIT
travels. Several statements that belong together run in `engine.begin()`, opened at the top of a use case.

A process says whom it is to PostgreSQL (`Role`), whatever its login; to the front door PostgreSQL shows the rows of
the tenant it acts for and no other (row_security.py, tenancy.py). Without a role it is its login: who migrates or
commands.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import sqlalchemy
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import make_url

from shared.config import Settings
from shared.store import news
from shared.store.fair_pool import FairPool
from shared.store.row_security import Role
from shared.store.tenancy import TenantCursor
from shared.store.timely import timely

CONNECT_TIMEOUT_S: Final = 2
"""A database that takes longer to greet us is away; the least psycopg knows. A request gives it less."""

TURN_WITHIN_S: Final = 10.0
"""How long a step waits for a connection: 256 threads take half a second for their turns at 8 of them; a third of a
lease's limit. A request waits for far less (`database_wait_s`)."""

PATIENT_S: Final = 60.0
"""For work nobody waits for at a counter: migrations, imports, the engine room's sweeps."""


def create_engine(settings: Settings, *, answer_within_s: float = PATIENT_S, role: Role | None = None) -> Engine:
    """The pool of one process; connects on first use, so importing and building touch no network.

    A server that does not greet us, or answer a statement, within *answer_within_s* is away. So is one that does not
    know *role*, or whose login may not take it.
    """
    url = make_url(settings.database_url.get_secret_value()).set(drivername="postgresql+psycopg")
    engine = sqlalchemy.create_engine(
        url,
        poolclass=FairPool,
        pool_size=settings.pool_size,
        max_overflow=0,
        pool_timeout=TURN_WITHIN_S if role is Role.ENGINE_ROOM else settings.database_wait_s,
        pool_use_lifo=True,
        hide_parameters=True,
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT_S,
            "options": f"-c statement_timeout={settings.statement_timeout_ms} -c timezone=UTC"
            " -c idle_in_transaction_session_timeout=10000"
            # Whoever comes second waits and sees what the first one did; a server's own default may end it instead.
            r" -c default_transaction_isolation=read\ committed"
            # Compiling a sweep's plan took 0.8 s of its 1.9 s; our other statements are far too short for it.
            " -c jit=off" + (f" -c role={role}" if role else ""),
            "application_name": "c2a",
            "tcp_user_timeout": 5000,
            **({"cursor_factory": TenantCursor} if role is Role.API else {}),
        },
    )
    connection = timely(answer_within_s)
    event.listen(engine, "do_connect", lambda _dialect, _record, args, kwargs: connection.connect(*args, **kwargs))
    news.attach(engine)
    return engine


@contextmanager
def one_moment(engine: Engine) -> Iterator[Connection]:
    """A transaction whose every statement sees the database as it was at the first of them: for reading what has to
    agree. Nothing is written on it. Not for the front door, whose tenant is set in front of a transaction's BEGIN."""
    with engine.connect() as conn, conn.execution_options(isolation_level="REPEATABLE READ").begin():
        yield conn


@contextmanager
def statements(engine: Engine) -> Iterator[Connection]:
    """A connection on which every statement commits by itself, in one round trip."""
    with engine.connect() as conn:
        yield conn.execution_options(isolation_level="AUTOCOMMIT")
