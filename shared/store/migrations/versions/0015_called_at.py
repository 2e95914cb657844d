"""A refund knows when its PSP was last called for it: until a while after, nobody can say that nothing will go back."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the schema to this revision."""
    op.add_column("refunds", sa.Column("called_at", sa.DateTime(timezone=True)))
    # Nobody wrote down whether those that are under way were called for: they count as called for now. Few are, and
    # an index finds them.
    op.execute("UPDATE refunds SET called_at = now() WHERE state = 'asked'")


def downgrade() -> None:
    """Take back."""
    op.drop_column("refunds", "called_at")
