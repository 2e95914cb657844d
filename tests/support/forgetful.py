"""Statements that forget their tenant: the bug row-level security is there for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Engine, event

FILTER: Final = re.compile(r"(?:\w+\.)?tenant_id = %\(\w+\)s(?:::UUID)?")
"""A tenant a statement names in a condition, as SQLAlchemy and our own texts write it for psycopg."""


@contextmanager
def filters_forgotten(engine: Engine) -> Iterator[list[str]]:
    """Whatever is sent through *engine* asks for the rows of every tenant; the statements that did are told."""
    forgotten: list[str] = []

    def forget(_conn: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> tuple[str, Any]:
        without = FILTER.sub("true", statement)
        if without != statement:
            forgotten.append(without)
        return without, parameters

    event.listen(engine, "before_cursor_execute", forget, retval=True)
    try:
        yield forgotten
    finally:
        event.remove(engine, "before_cursor_execute", forget)
