"""Which orders were admitted, where each stands, and what it alone may hold: its key and its offer.

`orders` is the status table: a poll is one primary-key read, and so is a message, which carries the tracking number
alone. `orders` and `order_events` are partitioned by the time inside the tracking number, a partition a month, so that
old months are dropped and never deleted row by row (shared/store/months.py). `idempotency_keys` and `offer_holds` stand
apart and are never partitioned by time, because only so can the database promise one order a key and one hold a
single-use offer.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from shared.domain.states import OrderState
from shared.store.tables.columns import metadata, now, tenant, time

_BY_MONTH: Final = "RANGE (tracking_number)"

_STATES = ", ".join(f"'{state}'" for state in OrderState)

orders: Final = Table(
    "orders",
    metadata,
    tenant(),
    Column("tracking_number", Text, nullable=False),
    Column("state", Text, nullable=False, server_default=text(f"'{OrderState.ADMITTED}'")),
    Column("version", Integer, nullable=False, server_default=text("1")),  # Counts moves; pollers see it only grow.
    Column("offer_identifier", Text, nullable=False),
    Column("customer_urn", Text, nullable=False),
    Column("correlation_id", Text),  # The caller's key: correlationId, or the Idempotency-Key header.
    Column("channel", Text, nullable=False),
    Column("forced_provider", Text),
    Column("stored_method_urn", Text),
    Column("carries_card", Boolean, nullable=False),  # A fresh card waits in the vault.
    Column("keeps_method", Boolean, nullable=False),  # storeMethodSuccessPayment = always.
    Column("request", JSONB, nullable=False),  # The order as asked, card fields as keyed digests.
    Column("amount_minor", BigInteger),  # Fixed from the offer's snapshot when the offer is held.
    Column("currency", Text),
    Column("failure", Text),  # The public message of a FAILED order.
    Column("redirect", JSONB),  # redirectInstructions while the shopper must act.
    # The lease: who works on it now. The fence only grows; every state write of a step carries it.
    Column("fence", BigInteger, nullable=False, server_default=text("0")),
    Column("lease_owner", Text),
    time("lease_until"),
    time("lease_limit"),
    # The next moment somebody must look at this row; the rescuer's only question.
    time("due_at"),
    # The provider in whose row it stands until due_at: its PSP takes no more calls now, or is away.
    Column("waits_for", Text),
    # When the present state ends by itself (challenge, pending, admission patience).
    time("deadline_at"),
    Column("rings", Integer, nullable=False, server_default=text("0")),  # Since the last move; sets the back-off.
    Column("crashes", SmallInteger, nullable=False, server_default=text("0")),  # Workers that did not end its step.
    Column("parked", Boolean, nullable=False, server_default=text("false")),
    now("admitted_at"),
    now("changed_at"),
    time("finished_at"),
    PrimaryKeyConstraint("tracking_number", "tenant_id"),
    CheckConstraint(f"state IN ({_STATES})", name="orders_known_state"),
    # A finished order knows when it finished, and only a finished one does.
    CheckConstraint("(finished_at IS NOT NULL) = (state IN ('done', 'failed'))", name="orders_finished_or_not"),
    # Every live order has a next moment, and no finished one has: so nothing accepted is ever forgotten.
    CheckConstraint("(due_at IS NULL) = (state IN ('done', 'failed'))", name="orders_live_is_due"),
    CheckConstraint("(failure IS NOT NULL) = (state = 'failed')", name="orders_failed_says_why"),
    CheckConstraint(
        "state IN ('admitted', 'failed') OR (amount_minor IS NOT NULL AND currency IS NOT NULL)",
        name="orders_amount_fixed_before_payment",
    ),
    # The rescuer asks state by state, so that a backlog of one never hides the others.
    Index("orders_due", "state", "due_at", postgresql_where=text("due_at IS NOT NULL")),
    Index("orders_of_customer", "tenant_id", "customer_urn", "tracking_number"),
    Index(
        "orders_of_correlation",
        "tenant_id",
        "correlation_id",
        postgresql_where=text("correlation_id IS NOT NULL"),
    ),
    postgresql_partition_by=_BY_MONTH,
)

order_events: Final = Table(
    "order_events",
    metadata,
    tenant(),
    Column("tracking_number", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("event", Text, nullable=False),
    Column("state", Text, nullable=False),  # The state after the event.
    Column("actor", Text, nullable=False),  # api, lock_offer, pay, webhook, return, look_up, tokenize, upkeep.
    Column("attempt_no", SmallInteger),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    PrimaryKeyConstraint("tenant_id", "tracking_number", "version"),
    # Rows come in order of time: a block range index counts the last moves and costs a move next to nothing.
    Index(
        "order_events_by_time",
        "at",
        postgresql_using="brin",
        postgresql_with={"autosummarize": "on", "pages_per_range": "32"},
    ),
    postgresql_partition_by=_BY_MONTH,
)
"""One row a move, written by the statement that moves."""

idempotency_keys: Final = Table(
    "idempotency_keys",
    metadata,
    tenant(),
    Column("key", Text, nullable=False),
    Column("tracking_number", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    now("created_at"),
    # One key, one order, for as long as keys are kept (31 days): so this table is never partitioned by time.
    PrimaryKeyConstraint("tenant_id", "key", name="idempotency_keys_one_order_per_key"),
    # Rows come in order of age: a block range index finds the old ones and costs admission next to nothing.
    Index("idempotency_keys_by_age", "created_at", postgresql_using="brin"),
)

offer_holds: Final = Table(
    "offer_holds",
    metadata,
    tenant(),
    Column("offer_identifier", Text, nullable=False),
    Column("tracking_number", Text, nullable=False),
    now("held_at"),
    # A hold has no clock: it ends only when its order failed.
    PrimaryKeyConstraint("tenant_id", "offer_identifier", name="offer_holds_one_order_per_offer"),
)
