"""The tables: what is kept, and which promise each constraint keeps.

The tenant stands in every key, so that no unique key tells one tenant about another. `orders` is the status
table: a poll is one primary-key read, and so is a message, which carries the tracking number alone.
`orders` and `order_events` are partitioned by the time inside the tracking number, a partition a month, so that old
months are dropped and never deleted row by row (shared/store/months.py). `idempotency_keys` and
`offer_holds` stand apart and are never partitioned by time, because only so can the database promise one order a key
and one hold a single-use offer. `payment_attempts` stays whole as well: one attempt a PSP's key and one owner a charge
are promises about money of all times, and a unique key of a partitioned table must hold what it is partitioned by, so
that it would hold within a month only. Its rows go one by one, after the partition of their order went.
No column may hold a card number or a CVC, sealed or not: sealed cards live in the vault alone.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
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

from shared.domain.states import OrderState

metadata: Final = MetaData()


def _tenant() -> Column[Any]:
    return Column("tenant_id", Uuid, nullable=False)


def _now(name: str) -> Column[Any]:
    return Column(name, DateTime(timezone=True), nullable=False, server_default=func.now())


def _time(name: str) -> Column[Any]:
    return Column(name, DateTime(timezone=True))


tenants: Final = Table(
    "tenants",
    metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    Column("settings", JSONB, nullable=False, server_default=text("'{}'")),
    _now("created_at"),
)
"""settings: see shared/store/tenants.py (TenantSettings)."""

api_keys: Final = Table(
    "api_keys",
    metadata,
    _tenant(),
    Column("key_hash", LargeBinary, nullable=False),
    Column("prefix", Text, nullable=False),
    Column("role", Text, nullable=False),
    _now("created_at"),
    _time("expires_at"),
    _time("revoked_at"),
    PrimaryKeyConstraint("tenant_id", "key_hash"),
    # The key alone finds its row; 160 random bits never meet by chance, so this tells no tenant of another.
    Index("api_keys_by_hash", "key_hash", unique=True),
    ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"]),
    CheckConstraint("role IN ('storefront', 'read_only', 'operator')", name="api_keys_known_role"),
)

psp_accounts: Final = Table(
    "psp_accounts",
    metadata,
    _tenant(),
    Column("provider", Text, nullable=False),
    Column("account_id", Text, nullable=False),
    Column("adapter", Text, nullable=False),
    Column("base_url", Text, nullable=False),
    Column("channels", ARRAY(Text), nullable=False),
    Column("credentials", LargeBinary, nullable=False),  # Sealed by the keyring.
    Column("enabled", Boolean, nullable=False, server_default=text("true")),
    Column("rank", Integer, nullable=False, server_default=text("100")),  # Lower is asked first.
    Column("terms", JSONB, nullable=False, server_default=text("'{}'")),  # AccountTerms (shared/psp/port.py).
    PrimaryKeyConstraint("tenant_id", "provider"),
    UniqueConstraint("account_id", name="psp_accounts_one_webhook_address"),
    ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"]),
)

catalogue: Final = Table(
    "catalogue",
    metadata,
    _tenant(),
    Column("kind", Text, nullable=False),
    Column("identifier", Text, nullable=False),
    Column("storefront_urn", Text, nullable=False),
    Column("document", JSONB, nullable=False),
    PrimaryKeyConstraint("tenant_id", "kind", "identifier"),
    ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"]),
    CheckConstraint("kind IN ('bundle', 'promotion')", name="catalogue_known_kind"),
)
"""What offers are resolved from; document: see shared/store/catalogue.py."""

customers: Final = Table(
    "customers",
    metadata,
    _tenant(),
    Column("customer_urn", Text, nullable=False),
    _now("created_at"),
    PrimaryKeyConstraint("tenant_id", "customer_urn"),
)
"""Whoever we resolved an offer for or keep a method of."""

offers: Final = Table(
    "offers",
    metadata,
    _tenant(),
    Column("offer_identifier", Text, nullable=False),
    Column("customer_urn", Text),  # NULL: anybody's.
    Column("purchasable", Boolean, nullable=False),
    Column("single_use", Boolean, nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("currency", Text, nullable=False),
    # What admission judges without parsing the snapshot: cart line -> most units, installment -> its bundle.
    Column("lines", JSONB, nullable=False),
    Column("installments", JSONB, nullable=False),
    Column("snapshot", JSONB, nullable=False),  # The offer as it was answered; its prices are what is charged.
    _now("created_at"),
    PrimaryKeyConstraint("tenant_id", "offer_identifier"),
)
"""Immutable. A line is "item" for a bundle and "parent>item" for an add-on."""

_BY_MONTH: Final = "RANGE (tracking_number)"

_STATES = ", ".join(f"'{state}'" for state in OrderState)

orders: Final = Table(
    "orders",
    metadata,
    _tenant(),
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
    _time("lease_until"),
    _time("lease_limit"),
    # The next moment somebody must look at this row; the rescuer's only question.
    _time("due_at"),
    # The provider in whose row it stands until due_at: its PSP takes no more calls now, or is away.
    Column("waits_for", Text),
    # When the present state ends by itself (challenge, pending, admission patience).
    _time("deadline_at"),
    Column("rings", Integer, nullable=False, server_default=text("0")),  # Since the last move; sets the back-off.
    Column("crashes", SmallInteger, nullable=False, server_default=text("0")),  # Workers that did not end its step.
    Column("parked", Boolean, nullable=False, server_default=text("false")),
    _now("admitted_at"),
    _now("changed_at"),
    _time("finished_at"),
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
    _tenant(),
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
    _tenant(),
    Column("key", Text, nullable=False),
    Column("tracking_number", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    _now("created_at"),
    # One key, one order, for as long as keys are kept (31 days): so this table is never partitioned by time.
    PrimaryKeyConstraint("tenant_id", "key", name="idempotency_keys_one_order_per_key"),
    # Rows come in order of age: a block range index finds the old ones and costs admission next to nothing.
    Index("idempotency_keys_by_age", "created_at", postgresql_using="brin"),
)

offer_holds: Final = Table(
    "offer_holds",
    metadata,
    _tenant(),
    Column("offer_identifier", Text, nullable=False),
    Column("tracking_number", Text, nullable=False),
    _now("held_at"),
    # A hold has no clock: it ends only when its order failed.
    PrimaryKeyConstraint("tenant_id", "offer_identifier", name="offer_holds_one_order_per_offer"),
)

payment_attempts: Final = Table(
    "payment_attempts",
    metadata,
    _tenant(),
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
    Column(
        "route", JSONB(none_as_null=True)
    ),  # Why this PSP: the scores as they stood when it was chosen (shared/psp/router.py).
    _now("started_at"),  # When its key was first used: the PSP's key lifetime counts from here.
    _now("asked_at"),  # When it was last asked for: only long after it "no such charge" is proof.
    _time("due_at"),  # When money that is being returned must be asked for again.
    _time("settled_at"),
    Column("brought", LargeBinary),  # Sealed: what the shopper's browser brought back for the PSP, until it was told.
    Column("refusals", SmallInteger, nullable=False, server_default=text("0")),  # Returns that did not succeed.
    _time("taken_at"),  # When its PSP took the return in hand: it tells later what came of it.
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

stored_methods: Final = Table(
    "stored_methods",
    metadata,
    _tenant(),
    Column("method_urn", Text, nullable=False),
    Column("customer_urn", Text, nullable=False),
    Column("number", Integer, nullable=False),  # The n of pm.<customer>.<n>.
    Column("channel", Text, nullable=False),
    Column("provider", Text, nullable=False),  # A token belongs to the PSP that minted it.
    Column("token", LargeBinary),  # Sealed by the keyring; NULL once deleted.
    Column("masked_number", Text),
    Column("card_type", Text),
    Column("expire_month", Text),
    Column("expire_year", Text),
    Column("alias", Text),
    Column("state", Text, nullable=False, server_default=text("'Active'")),
    Column("tracking_number", Text),  # The order that stored it, if one did.
    _now("stored_at"),
    PrimaryKeyConstraint("tenant_id", "method_urn"),
    # One order stores at most one method, however often its step runs.
    Index(
        "stored_methods_one_per_order",
        "tenant_id",
        "tracking_number",
        unique=True,
        postgresql_where=text("tracking_number IS NOT NULL"),
    ),
    Index("stored_methods_of_customer", "tenant_id", "customer_urn"),
    CheckConstraint("state IN ('Active', 'Inactive', 'Deleted')", name="stored_methods_known_state"),
    CheckConstraint("(token IS NULL) = (state = 'Deleted')", name="stored_methods_deleted_has_no_token"),
)

psp_events: Final = Table(
    "psp_events",
    metadata,
    _tenant(),
    Column("provider", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("merchant_reference", Text),
    Column("psp_key", Text),
    Column("kind", Text, nullable=False),
    Column("outcome", LargeBinary),  # What it told, in our shapes, sealed (it may name a token). Never the raw body.
    _now("received_at"),
    _time("settled_at"),  # NULL: parked, released by the commit that makes its charge known.
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

operator_actions: Final = Table(
    "operator_actions",
    metadata,
    _tenant(),
    Column("action_id", Uuid, nullable=False),  # Minted by whoever asks, so that asking twice is acting once.
    Column("tracking_number", Text),  # NULL: a webhook that leads to no order.
    Column("action", Text, nullable=False),
    Column("who", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("what", JSONB, nullable=False, server_default=text("'{}'")),  # What was asked for beyond the action itself.
    Column("outcome", Text, nullable=False),
    Column("told", Text, nullable=False),  # What the operator was answered.
    _now("at"),
    PrimaryKeyConstraint("tenant_id", "action_id"),
    Index("operator_actions_of_order", "tenant_id", "tracking_number", "at"),
    CheckConstraint("outcome IN ('done', 'begun', 'refused')", name="operator_actions_known_outcome"),
)
"""Every action of an operator, the refused ones included. begun: money is on its way, and the order's story tells how
it ends."""

refunds: Final = Table(
    "refunds",
    metadata,
    _tenant(),
    Column("action_id", Uuid, nullable=False),  # The operator's action; its PSP's key is derived from it.
    Column("tracking_number", Text, nullable=False),
    Column("attempt_no", SmallInteger, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("state", Text, nullable=False, server_default=text("'asked'")),
    Column("refusals", SmallInteger, nullable=False, server_default=text("0")),  # How often it did not succeed.
    _now("asked_at"),
    _now("key_since"),  # Since when its present key may have been used.
    Column("due_at", DateTime(timezone=True), server_default=func.now()),  # When its PSP is asked for it again.
    _time("taken_at"),  # When its PSP took it in hand: it tells later what came of it.
    _time("settled_at"),
    PrimaryKeyConstraint("tenant_id", "action_id"),
    # What a PSP tells of a return names the charge alone: so one at a time.
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

event_endpoints: Final = Table(
    "event_endpoints",
    metadata,
    _tenant(),
    Column("endpoint_id", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("kinds", ARRAY(Text), nullable=False),  # Of which events it is told.
    Column("secret", LargeBinary),  # Sealed by the keyring; NULL once removed.
    Column("secret_before", LargeBinary),  # The one before a rotation: signs beside the new one for a while.
    _time("secret_before_until"),
    Column("state", Text, nullable=False, server_default=text("'active'")),
    Column("paused_why", Text),  # operator, failing, gone.
    Column("failures", Integer, nullable=False, server_default=text("0")),  # Tries in vain since one was not.
    Column("holds", Integer, nullable=False, server_default=text("0")),  # How often it was left alone since then.
    _time("failing_since"),
    _time("held_until"),
    _now("created_at"),
    # Every move of its tenant up to here, by the database's clock, has its delivery: see shared/store/reader.py.
    _now("read_to"),
    PrimaryKeyConstraint("tenant_id", "endpoint_id"),
    ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"]),
    CheckConstraint("state IN ('active', 'paused', 'removed')", name="event_endpoints_known_state"),
    CheckConstraint("(secret IS NULL) = (state = 'removed')", name="event_endpoints_removed_has_no_secret"),
)
"""Where a tenant is told of its events."""

tenant_events: Final = Table(
    "tenant_events",
    metadata,
    _tenant(),
    Column("event_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("place", Integer, nullable=False),
    Column("body", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    PrimaryKeyConstraint("tenant_id", "event_id"),
)
"""Events that no move of an order tells, written by the transaction that makes them true, until deliveries are made of
them. What a move tells is read from order_events."""

event_deliveries: Final = Table(
    "event_deliveries",
    metadata,
    _tenant(),
    Column("endpoint_id", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("place", Integer, nullable=False),
    Column("body", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),  # When it happened.
    Column("state", Text, nullable=False, server_default=text("'waiting'")),
    Column("tries", SmallInteger, nullable=False, server_default=text("0")),
    _now("due_at"),
    _time("claimed_until"),  # Somebody sends it now; who has not said what came of it by then is dead.
    Column("answer", Text),  # To the last try: its status, or why there was none.
    _now("created_at"),
    _time("ended_at"),
    PrimaryKeyConstraint("tenant_id", "endpoint_id", "event_id"),
    CheckConstraint("state IN ('waiting', 'delivered', 'parked')", name="event_deliveries_known_state"),
    CheckConstraint("(ended_at IS NULL) = (state = 'waiting')", name="event_deliveries_ended_or_waiting"),
    Index("event_deliveries_due", "tenant_id", "endpoint_id", "due_at", postgresql_where=text("state = 'waiting'")),
    Index(
        "event_deliveries_in_order",
        "tenant_id",
        "endpoint_id",
        "subject",
        "place",
        postgresql_where=text("state = 'waiting'"),
    ),
    Index(
        "event_deliveries_claimed",
        "tenant_id",
        "endpoint_id",
        "claimed_until",
        postgresql_where=text("claimed_until IS NOT NULL"),
    ),
    Index("event_deliveries_by_age", "created_at", postgresql_using="brin"),
)
"""One row for each event and endpoint: what is still to be sent, and the log of what was."""
