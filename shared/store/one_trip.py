"""One statement, the tenant before it and the Sync behind it, in one write and one read.

psycopg's own pipeline waits for its socket before each command it queues and again for each answer, six times a
statement, and a greenlet's wait costs 25 microseconds of processor time. Here libpq is handed everything at once and
waited for once. Values go and rows come by psycopg's adapters; a statement is prepared when a connection first runs it.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from functools import lru_cache
from itertools import count
from typing import Any, Final
from weakref import WeakKeyDictionary

import psycopg
from psycopg import errors, generators
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn, PGresult

from shared.store.tenancy import SET, TenantCursor, present

MOST_PREPARED: Final = 500
"""Statements a connection keeps prepared: some thirty of ours in the words of each month (month_bounds.py), so that no
connection lives long enough to need more. What comes after them is parsed each time."""

_Prepared = dict[tuple[bytes, tuple[int, ...]], bytes]
_prepared: Final[WeakKeyDictionary[psycopg.Connection[Any], _Prepared]] = WeakKeyDictionary()
_numbers: Final = count()
"""No name is given twice: a server that was made to forget the others may still know one that came after."""
_NAMED: Final = re.compile(r"%\((\w+)\)s")


def rows(connection: psycopg.Connection[Any], statement: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """What *statement* answers with *values*, in a transaction of its own. Raises psycopg.Error."""
    try:
        return _rows(connection, statement, values)
    except errors.InvalidSqlStatementName:
        # After a rollback psycopg forgets what it prepared, and makes the server forget everything, ours as well.
        # Nothing has run: the statement was not found, and the tenant went with its transaction.
        _prepared.pop(connection, None)
        return _rows(connection, statement, values)


def _rows(connection: psycopg.Connection[Any], statement: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    query, names = _numbered(statement)
    adapters = Transformer(connection)
    dumped = adapters.dump_sequence([values[name] for name in names], [PyFormat.AUTO] * len(names))
    known = _prepared.setdefault(connection, {})
    what = query, tuple(adapters.types or ())
    pgconn = connection.pgconn
    pgconn.enter_pipeline_mode()
    if connection.cursor_factory is TenantCursor:
        pgconn.send_query_params(SET, [present()])
    name = known.get(what)
    is_new = name is None and len(known) < MOST_PREPARED
    if is_new:
        name = b"c2a_%d" % next(_numbers)
        pgconn.send_prepare(name, *what)
    if name is None:
        pgconn.send_query_params(query, dumped, what[1], adapters.formats)
    else:
        pgconn.send_query_prepared(name, dumped, adapters.formats)
    pgconn.pipeline_sync()
    told = connection.wait(_answers(pgconn))
    pgconn.exit_pipeline_mode()
    if is_new and name is not None and told[-2].status == ExecStatus.COMMAND_OK:
        known[what] = name  # It stays prepared, whatever became of the transaction.
    for result in told:
        if result.status == ExecStatus.FATAL_ERROR:
            raise errors.error_from_result(result)
    adapters.set_pgresult(told[-1])
    return list(adapters.load_rows(0, told[-1].ntuples, tuple))


@lru_cache(maxsize=MOST_PREPARED)
def _numbered(statement: str) -> tuple[bytes, tuple[str, ...]]:
    """*statement* as libpq wants it, and the names of its values in their order."""
    names = tuple(dict.fromkeys(_NAMED.findall(statement)))
    numbered = _NAMED.sub(lambda met: f"${names.index(met[1]) + 1}", statement)
    return numbered.replace("%%", "%").encode(), names


def _answers(pgconn: PGconn) -> Generator[Any, Any, list[PGresult]]:
    """The results up to the Sync."""
    yield from generators.send(pgconn)
    told: list[PGresult] = []
    ended = False
    while True:
        result = yield from generators.fetch(pgconn)
        if result is None:
            if ended:
                raise psycopg.OperationalError("the connection was lost in the middle of its answers")
            ended = True  # The end of one command's results; those of the next come at once.
            continue
        ended = False
        if result.status == ExecStatus.PIPELINE_SYNC:
            return told
        told.append(result)
