"""Keeps what goes wrong with one thing from standing in the way of the next.

Upkeep takes orders, events and accounts one by one, and finds again what it could not deal with. So an error is logged
with its place and the next thing is tried: one row must not stop the work for all others. A database that is away is
away for the others, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from shared.store.away import is_away

log = structlog.get_logger(__name__)


@contextmanager
def apart(event: str, **what: Any) -> Iterator[None]:
    """Log what goes wrong within as *event* of *what*; raises SQLAlchemyError if the database is away."""
    try:
        yield
    except Exception as error:
        if isinstance(error, SQLAlchemyError) and is_away(error):
            raise
        log.exception(event, **what)
