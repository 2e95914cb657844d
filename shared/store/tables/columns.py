"""What every table is made of: the one collection they stand in, and the columns that most of them have."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Column, DateTime, MetaData, Uuid, func

metadata: Final = MetaData()
"""All tables; shared/store/tables/__init__.py gathers them, so whoever imports it from there finds them in it."""


def tenant() -> Column[Any]:
    """Whose row it is."""
    return Column("tenant_id", Uuid, nullable=False)


def now(name: str) -> Column[Any]:
    """A moment that the database's clock sets when the row is written without it."""
    return Column(name, DateTime(timezone=True), nullable=False, server_default=func.now())


def time(name: str) -> Column[Any]:
    """A moment that has yet to come, or never does: NULL until then."""
    return Column(name, DateTime(timezone=True))
