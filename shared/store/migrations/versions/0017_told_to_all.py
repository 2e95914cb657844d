"""Every process may read which revision the schema has: it does not start on one that is older than it needs."""

from __future__ import annotations

from alembic import op

from shared.store.row_security import Role

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the schema to this revision."""
    op.execute(f"GRANT SELECT ON alembic_version TO {Role.API}, {Role.ENGINE_ROOM}")


def downgrade() -> None:
    """Take back."""
    op.execute(f"REVOKE SELECT ON alembic_version FROM {Role.API}, {Role.ENGINE_ROOM}")  # noqa: S608 - our own names
