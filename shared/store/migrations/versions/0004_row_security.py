"""Every row belongs to a tenant for PostgreSQL, too: roles, row-level security, and how the tenant is learned."""

from __future__ import annotations

from alembic import op

from shared.store import row_security
from shared.store.row_security import ADDED, CHANGED, ENDED, SEEN

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

API_MAY = {
    "tenants": SEEN,
    "api_keys": None,
    "psp_accounts": SEEN,
    "catalogue": SEEN,
    "customers": ADDED,
    "offers": ADDED,
    "orders": CHANGED,
    "order_events": ADDED,
    "idempotency_keys": CHANGED,
    "offer_holds": ENDED,
    "payment_attempts": CHANGED,
    "stored_methods": CHANGED,
    "psp_events": CHANGED,
}

FUNCTIONS = {
    "c2a_caller(shown bytea)": (
        "TABLE (tenant_id uuid, role text, prefix text, good_for_s double precision, settings jsonb)",
        """
        SELECT key.tenant_id, key.role, key.prefix,
               extract(epoch FROM key.expires_at - clock_timestamp())::double precision, tenant.settings
        FROM api_keys AS key JOIN tenants AS tenant ON tenant.tenant_id = key.tenant_id
        WHERE key.key_hash = shown AND key.revoked_at IS NULL
          AND (key.expires_at IS NULL OR key.expires_at > clock_timestamp())
        """,
    ),
    "c2a_account(shown text)": ("SETOF psp_accounts", "SELECT * FROM psp_accounts WHERE account_id = shown"),
    "c2a_tenant_of_order(shown text)": ("uuid", "SELECT tenant_id FROM orders WHERE tracking_number = shown"),
}


def upgrade() -> None:
    """Bring the schema to this revision."""
    op.execute(row_security.MAKE_ROLES)
    op.execute(f"GRANT USAGE ON SCHEMA public TO {row_security.Role.API}, {row_security.Role.ENGINE_ROOM}")
    for table, api_may in API_MAY.items():
        for statement in row_security.protect(table, api_may):
            op.execute(statement)
    for signature, (returns, query) in FUNCTIONS.items():
        for statement in row_security.learning(signature, returns, query):
            op.execute(statement)


def downgrade() -> None:
    """Take back; the roles stay, as other databases of the server may have them."""
    for signature in FUNCTIONS:
        op.execute(f"DROP FUNCTION {signature}")
    for table in API_MAY:
        for statement in row_security.release(table):
            op.execute(statement)
