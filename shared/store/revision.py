"""Has the database the schema this code needs? A process that starts on an older one is ended at once.

Where versions are rolled out one after the other, the new processes may come before their migration is through, or
while it waits for a lock, or after it failed. Each would say that it is ready and fail at the first column that is not
there, while those of the version before are sent away. So they do not start, and the old ones go on serving. A newer
schema is no trouble: migrations expand first, and contract once nobody of the version before is left.
"""

from __future__ import annotations

from typing import Final

from psycopg.errors import InsufficientPrivilege, UndefinedTable
from sqlalchemy import Connection, text
from sqlalchemy.exc import ProgrammingError

NEEDED: Final = "0017"
"""The newest revision in shared/store/migrations; later ones sort after it."""

_SCHEMA: Final = text("SELECT version_num FROM alembic_version")


def is_there(conn: Connection) -> bool:
    """Whether the schema is as new as this code. *conn*: one on which every statement commits by itself."""
    try:
        found = conn.execute(_SCHEMA).scalar_one_or_none()
    except ProgrammingError as error:
        if isinstance(error.orig, UndefinedTable | InsufficientPrivilege):  # 0017 lets everybody read it.
            return False
        raise
    return found is not None and found >= NEEDED
