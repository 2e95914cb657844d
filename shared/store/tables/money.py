"""What was asked of PSPs about money, and what they told of it.

`payment_attempts` is never partitioned: one attempt a PSP's key and one owner a charge are promises about money of all
times, and a unique key of a partitioned table must hold what it is partitioned by, so that it would hold within a month
only. Its rows go one by one, after the partition of their order went.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from shared.store.tables.columns import metadata, now, tenant, time

payment_attempts: Final = Table(
    "payment_attempts",
    metadata,
    tenant(),
    Column("tracking_number", Text, nullable=False),
    Column("attempt_no", SmallInteger, nullable=False),
    Column("provider", Text, nullable=False),
    Column("psp_key", Text, nullable=False),
    Column("merchant_reference", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("outcome", Text, nullable=False, server_default=text("'open'")),
    Column("reason", Text),  # Why it was declined, or how its absence was proven: see shared/store/attempts.py.
    Column("psp_reference", Text),
    Column("kept_token", LargeBinary),  # Sealed: what the PSP kept for us, until tokenize makes it a stored method.
    Column("looks", SmallInteger, nullable=False, server_default=text("0")),  # Look-ups since it became unclear.
    # Why this PSP: the scores as they stood when it was chosen (shared/psp/router.py).
    Column("route", JSONB(none_as_null=True)),
    now("started_at"),  # When its key was first used: the PSP's key lifetime counts from here.
    now("asked_at"),  # When it was last asked for: only long after it "no such charge" is proof.
    time("due_at"),  # When money that is being returned must be asked for again.
    time("settled_at"),
    Column("brought", LargeBinary),  # Sealed: what the shopper's browser brought back for the PSP, until it was told.
    Column("refusals", SmallInteger, nullable=False, server_default=text("0")),  # Returns that did not succeed.
    time("taken_at"),  # When its PSP took the return in hand: it tells later what came of it.
    # What operators gave back of a done order's capture, or are giving back (refunds).
    Column("refunded_minor", BigInteger, nullable=False, server_default=text("0")),
    PrimaryKeyConstraint("tenant_id", "tracking_number", "attempt_no"),
    CheckConstraint("refunded_minor BETWEEN 0 AND amount_minor", name="payment_attempts_refunds_at_most_all"),
    UniqueConstraint("tenant_id", "provider", "psp_key", name="payment_attempts_one_per_key"),
    # A charge has one owner, whoever brings the news of it.
    Index(
        "payment_attempts_one_per_charge",
        "tenant_id",
        "provider",
        "psp_reference",
        unique=True,
        postgresql_where=text("psp_reference IS NOT NULL"),
    ),
    # Never a second attempt while the verdict on one is out.
    Index(
        "payment_attempts_one_unsettled",
        "tenant_id",
        "tracking_number",
        unique=True,
        postgresql_where=text("outcome IN ('open', 'challenged', 'pending')"),
    ),
    # At most one live capture an order.
    Index(
        "payment_attempts_one_captured",
        "tenant_id",
        "tracking_number",
        unique=True,
        postgresql_where=text("outcome = 'captured'"),
    ),
    Index("payment_attempts_due", "due_at", postgresql_where=text("outcome = 'returning'")),
    # News that names neither our key nor a charge we know finds its attempt by the order's name.
    Index("payment_attempts_by_merchant_reference", "tenant_id", "provider", "merchant_reference"),
    # Open money: what may be held at a PSP; must come back to empty but for captures of done orders.
    Index(
        "payment_attempts_open",
        "tenant_id",
        "tracking_number",
        "attempt_no",
        postgresql_where=text("outcome IN ('open', 'challenged', 'pending', 'returning')"),
    ),
    CheckConstraint(
        "outcome IN ('open', 'challenged', 'pending', 'captured', 'declined', 'absent', 'returning', 'returned')",
        name="payment_attempts_known_outcome",
    ),
)
"""Written ahead: committed before the PSP is called. open: called or about to be, unanswered; absent: proven never
charged; returning: money that has no right to stay, being voided or refunded; returned: the PSP proved it went back."""

refunds: Final = Table(
    "refunds",
    metadata,
    tenant(),
    Column("action_id", Uuid, nullable=False),  # The operator's action; its PSP's key is derived from it.
    Column("tracking_number", Text, nullable=False),
    Column("attempt_no", SmallInteger, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("state", Text, nullable=False, server_default=text("'asked'")),
    Column("refusals", SmallInteger, nullable=False, server_default=text("0")),  # How often it did not succeed.
    now("asked_at"),
    now("key_since"),  # Since when its present key may have been used.
    Column("due_at", DateTime(timezone=True), server_default=func.now()),  # When its PSP is asked for it again.
    time("taken_at"),  # When its PSP took it in hand: it tells later what came of it.
    time("settled_at"),
    time("called_at"),  # Written ahead of each call: it may be on its way for a while after.
    time("doubted_at"),  # When its PSP told of a refund that failed, which may be this one: for people to look at.
    PrimaryKeyConstraint("tenant_id", "action_id"),
    # What a PSP tells of a return may name the charge alone: so one at a time.
    Index(
        "refunds_one_at_a_time",
        "tenant_id",
        "tracking_number",
        unique=True,
        postgresql_where=text("state = 'asked'"),
    ),
    Index("refunds_due", "due_at", postgresql_where=text("state = 'asked'")),
    Index("refunds_of_order", "tenant_id", "tracking_number", "asked_at"),
    CheckConstraint("state IN ('asked', 'given', 'refused')", name="refunds_known_state"),
    CheckConstraint("amount_minor > 0", name="refunds_of_something"),
    CheckConstraint("(due_at IS NOT NULL) = (state = 'asked')", name="refunds_under_way_are_due"),
)
"""Money of a done order that goes back because an operator decided so, written ahead of the call. asked: the PSP is
asked until it proves it; refused: the PSP will not give it, and its part of payment_attempts.refunded_minor is free."""

psp_events: Final = Table(
    "psp_events",
    metadata,
    tenant(),
    Column("provider", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("merchant_reference", Text),
    Column("psp_key", Text),
    Column("kind", Text, nullable=False),
    Column("outcome", LargeBinary),  # What it told, in our shapes, sealed (it may name a token). Never the raw body.
    now("received_at"),
    time("settled_at"),  # NULL: parked, released by the commit that makes its charge known.
    Column("psp_reference", Text),  # The charge it speaks of, as its PSP names it.
    PrimaryKeyConstraint("tenant_id", "provider", "event_id", name="psp_events_once"),
    Index(
        "psp_events_parked",
        "tenant_id",
        "provider",
        "psp_key",
        postgresql_where=text("settled_at IS NULL"),
    ),
    # An operator asks what was told of a charge.
    Index(
        "psp_events_by_charge",
        "tenant_id",
        "provider",
        "psp_reference",
        postgresql_where=text("psp_reference IS NOT NULL"),
    ),
)
"""The inbox: each PSP event is stored once before it is acknowledged."""
