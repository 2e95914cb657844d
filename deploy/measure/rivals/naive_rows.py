"""The naive way's tables, as classes of an object-relational mapper; the floor's row stands beside them.

In a schema of their own, without row-level security: whatever the product does more is the product's cost.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Final
from uuid import UUID

from sqlalchemy import DateTime, Engine, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

SCHEMA: Final = "rivals"


class Base(DeclarativeBase):
    """What the mapper knows of."""

    type_annotation_map: ClassVar[dict[Any, Any]] = {datetime: DateTime(timezone=True)}


class NaiveOrder(Base):
    """An order, with what became of it."""

    __tablename__ = "naive_orders"
    __table_args__ = {"schema": SCHEMA}  # noqa: RUF012 - SQLAlchemy reads it so.

    tracking_number: Mapped[str] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID]
    state: Mapped[str] = mapped_column(default="admitted")
    offer_identifier: Mapped[str]
    customer_urn: Mapped[str]
    correlation_id: Mapped[str | None] = mapped_column(unique=True)
    provider: Mapped[str]
    request: Mapped[dict[str, Any]] = mapped_column(JSONB)
    amount_minor: Mapped[int | None]
    currency: Mapped[str | None]
    admitted_at: Mapped[datetime] = mapped_column(server_default=func.now())
    finished_at: Mapped[datetime | None]


class NaivePayment(Base):
    """What a PSP said of an order."""

    __tablename__ = "naive_payments"
    __table_args__ = {"schema": SCHEMA}  # noqa: RUF012 - SQLAlchemy reads it so.

    payment_id: Mapped[int] = mapped_column(primary_key=True)
    tracking_number: Mapped[str] = mapped_column(index=True)
    provider: Mapped[str]
    reference: Mapped[str]
    amount_minor: Mapped[int]
    currency: Mapped[str]
    paid_at: Mapped[datetime] = mapped_column(server_default=func.now())


class FloorOrder(Base):
    """A row like an order's, for the floor."""

    __tablename__ = "floor_orders"
    __table_args__ = {"schema": SCHEMA}  # noqa: RUF012 - SQLAlchemy reads it so.

    tracking_number: Mapped[str] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID]
    state: Mapped[str] = mapped_column(server_default="admitted")
    version: Mapped[int] = mapped_column(server_default=text("1"))
    offer_identifier: Mapped[str]
    customer_urn: Mapped[str]
    correlation_id: Mapped[str | None]
    request: Mapped[dict[str, Any]] = mapped_column(JSONB)
    failure: Mapped[str | None]
    admitted_at: Mapped[datetime] = mapped_column(server_default=func.now())


def made_anew(engine: Engine) -> None:
    """Make the tables, empty."""
    with engine.begin() as conn:
        conn.execute(text(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE"))
        conn.execute(text(f"CREATE SCHEMA {SCHEMA}"))
        Base.metadata.create_all(conn)
