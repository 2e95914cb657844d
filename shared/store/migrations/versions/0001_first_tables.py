"""first tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "customers",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("customer_urn", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "customer_urn"),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("tracking_number", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "key", name="idempotency_keys_one_order_per_key"),
    )
    op.create_index(
        "idempotency_keys_by_age", "idempotency_keys", ["created_at"], unique=False, postgresql_using="brin"
    )
    op.create_table(
        "offer_holds",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("offer_identifier", sa.Text(), nullable=False),
        sa.Column("tracking_number", sa.Text(), nullable=False),
        sa.Column("held_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "offer_identifier", name="offer_holds_one_order_per_offer"),
    )
    op.create_table(
        "offers",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("offer_identifier", sa.Text(), nullable=False),
        sa.Column("customer_urn", sa.Text(), nullable=True),
        sa.Column("purchasable", sa.Boolean(), nullable=False),
        sa.Column("single_use", sa.Boolean(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("lines", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("installments", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("snapshot", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "offer_identifier"),
    )
    op.create_table(
        "order_events",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("tracking_number", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("attempt_no", sa.SmallInteger(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "tracking_number", "version"),
    )
    op.create_table(
        "orders",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("tracking_number", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default=sa.text("'admitted'"), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("offer_identifier", sa.Text(), nullable=False),
        sa.Column("customer_urn", sa.Text(), nullable=False),
        sa.Column("correlation_id", sa.Text(), nullable=True),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("forced_provider", sa.Text(), nullable=True),
        sa.Column("stored_method_urn", sa.Text(), nullable=True),
        sa.Column("carries_card", sa.Boolean(), nullable=False),
        sa.Column("keeps_method", sa.Boolean(), nullable=False),
        sa.Column("request", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.Column("redirect", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("fence", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lease_limit", sa.DateTime(timezone=True), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deadline_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("rings", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("crashes", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("parked", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("admitted_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(due_at IS NULL) = (state IN ('done', 'failed'))", name="orders_live_is_due"),
        sa.CheckConstraint("(failure IS NOT NULL) = (state = 'failed')", name="orders_failed_says_why"),
        sa.CheckConstraint("(finished_at IS NOT NULL) = (state IN ('done', 'failed'))", name="orders_finished_or_not"),
        sa.CheckConstraint(
            "state IN ('admitted', 'failed') OR (amount_minor IS NOT NULL AND currency IS NOT NULL)",
            name="orders_amount_fixed_before_payment",
        ),
        sa.CheckConstraint(
            "state IN ('admitted', 'offer_locked', 'paying', 'confirming', 'challenge', 'captured', 'done', 'failed')",
            name="orders_known_state",
        ),
        sa.PrimaryKeyConstraint("tracking_number", "tenant_id"),
    )
    op.create_index("orders_due", "orders", ["due_at"], unique=False, postgresql_where=sa.text("due_at IS NOT NULL"))
    op.create_index(
        "orders_of_correlation",
        "orders",
        ["tenant_id", "correlation_id"],
        unique=False,
        postgresql_where=sa.text("correlation_id IS NOT NULL"),
    )
    op.create_index("orders_of_customer", "orders", ["tenant_id", "customer_urn", "tracking_number"], unique=False)
    op.create_table(
        "payment_attempts",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("tracking_number", sa.Text(), nullable=False),
        sa.Column("attempt_no", sa.SmallInteger(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("psp_key", sa.Text(), nullable=False),
        sa.Column("merchant_reference", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), server_default=sa.text("'open'"), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("psp_reference", sa.Text(), nullable=True),
        sa.Column("kept_token", sa.LargeBinary(), nullable=True),
        sa.Column("looks", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "outcome IN ('open', 'challenged', 'pending', 'captured', 'declined', 'absent', 'returning', 'returned')",
            name="payment_attempts_known_outcome",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "tracking_number", "attempt_no"),
        sa.UniqueConstraint("tenant_id", "provider", "psp_key", name="payment_attempts_one_per_key"),
    )
    op.create_index(
        "payment_attempts_due",
        "payment_attempts",
        ["due_at"],
        unique=False,
        postgresql_where=sa.text("outcome = 'returning'"),
    )
    op.create_index(
        "payment_attempts_one_captured",
        "payment_attempts",
        ["tenant_id", "tracking_number"],
        unique=True,
        postgresql_where=sa.text("outcome = 'captured'"),
    )
    op.create_index(
        "payment_attempts_one_per_charge",
        "payment_attempts",
        ["tenant_id", "provider", "psp_reference"],
        unique=True,
        postgresql_where=sa.text("psp_reference IS NOT NULL"),
    )
    op.create_index(
        "payment_attempts_one_unsettled",
        "payment_attempts",
        ["tenant_id", "tracking_number"],
        unique=True,
        postgresql_where=sa.text("outcome IN ('open', 'challenged', 'pending')"),
    )
    op.create_index(
        "payment_attempts_open",
        "payment_attempts",
        ["tenant_id", "tracking_number", "attempt_no"],
        unique=False,
        postgresql_where=sa.text("outcome IN ('open', 'challenged', 'pending', 'returning')"),
    )
    op.create_table(
        "psp_events",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("merchant_reference", sa.Text(), nullable=True),
        sa.Column("psp_key", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("outcome", sa.LargeBinary(), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "provider", "event_id", name="psp_events_once"),
    )
    op.create_index(
        "psp_events_parked",
        "psp_events",
        ["tenant_id", "provider", "psp_key"],
        unique=False,
        postgresql_where=sa.text("settled_at IS NULL"),
    )
    op.create_table(
        "stored_methods",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("method_urn", sa.Text(), nullable=False),
        sa.Column("customer_urn", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("token", sa.LargeBinary(), nullable=True),
        sa.Column("masked_number", sa.Text(), nullable=True),
        sa.Column("card_type", sa.Text(), nullable=True),
        sa.Column("expire_month", sa.Text(), nullable=True),
        sa.Column("expire_year", sa.Text(), nullable=True),
        sa.Column("alias", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), server_default=sa.text("'Active'"), nullable=False),
        sa.Column("tracking_number", sa.Text(), nullable=True),
        sa.Column("stored_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("(token IS NULL) = (state = 'Deleted')", name="stored_methods_deleted_has_no_token"),
        sa.CheckConstraint("state IN ('Active', 'Inactive', 'Deleted')", name="stored_methods_known_state"),
        sa.PrimaryKeyConstraint("tenant_id", "method_urn"),
    )
    op.create_index("stored_methods_of_customer", "stored_methods", ["tenant_id", "customer_urn"], unique=False)
    op.create_index(
        "stored_methods_one_per_order",
        "stored_methods",
        ["tenant_id", "tracking_number"],
        unique=True,
        postgresql_where=sa.text("tracking_number IS NOT NULL"),
    )
    op.create_table(
        "tenants",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("settings", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id"),
    )
    op.create_table(
        "api_keys",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("key_hash", sa.LargeBinary(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("role IN ('storefront', 'read_only', 'operator')", name="api_keys_known_role"),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.tenant_id"],
        ),
        sa.PrimaryKeyConstraint("tenant_id", "key_hash"),
    )
    op.create_index("api_keys_by_hash", "api_keys", ["key_hash"], unique=True)
    op.create_table(
        "catalogue",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("identifier", sa.Text(), nullable=False),
        sa.Column("storefront_urn", sa.Text(), nullable=False),
        sa.Column("document", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.CheckConstraint("kind IN ('bundle', 'promotion')", name="catalogue_known_kind"),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.tenant_id"],
        ),
        sa.PrimaryKeyConstraint("tenant_id", "kind", "identifier"),
    )
    op.create_table(
        "psp_accounts",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("adapter", sa.Text(), nullable=False),
        sa.Column("base_url", sa.Text(), nullable=False),
        sa.Column("channels", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("credentials", sa.LargeBinary(), nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("rank", sa.Integer(), server_default=sa.text("100"), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.tenant_id"],
        ),
        sa.PrimaryKeyConstraint("tenant_id", "provider"),
        sa.UniqueConstraint("account_id", name="psp_accounts_one_webhook_address"),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("psp_accounts")
    op.drop_table("catalogue")
    op.drop_index("api_keys_by_hash", table_name="api_keys")
    op.drop_table("api_keys")
    op.drop_table("tenants")
    op.drop_index(
        "stored_methods_one_per_order",
        table_name="stored_methods",
        postgresql_where=sa.text("tracking_number IS NOT NULL"),
    )
    op.drop_index("stored_methods_of_customer", table_name="stored_methods")
    op.drop_table("stored_methods")
    op.drop_index("psp_events_parked", table_name="psp_events", postgresql_where=sa.text("settled_at IS NULL"))
    op.drop_table("psp_events")
    op.drop_index(
        "payment_attempts_open",
        table_name="payment_attempts",
        postgresql_where=sa.text("outcome IN ('open', 'challenged', 'pending', 'returning')"),
    )
    op.drop_index(
        "payment_attempts_one_unsettled",
        table_name="payment_attempts",
        postgresql_where=sa.text("outcome IN ('open', 'challenged', 'pending')"),
    )
    op.drop_index(
        "payment_attempts_one_per_charge",
        table_name="payment_attempts",
        postgresql_where=sa.text("psp_reference IS NOT NULL"),
    )
    op.drop_index(
        "payment_attempts_one_captured", table_name="payment_attempts", postgresql_where=sa.text("outcome = 'captured'")
    )
    op.drop_index(
        "payment_attempts_due", table_name="payment_attempts", postgresql_where=sa.text("outcome = 'returning'")
    )
    op.drop_table("payment_attempts")
    op.drop_index("orders_of_customer", table_name="orders")
    op.drop_index("orders_of_correlation", table_name="orders", postgresql_where=sa.text("correlation_id IS NOT NULL"))
    op.drop_index("orders_due", table_name="orders", postgresql_where=sa.text("due_at IS NOT NULL"))
    op.drop_table("orders")
    op.drop_table("order_events")
    op.drop_table("offers")
    op.drop_table("offer_holds")
    op.drop_index("idempotency_keys_by_age", table_name="idempotency_keys", postgresql_using="brin")
    op.drop_table("idempotency_keys")
    op.drop_table("customers")
