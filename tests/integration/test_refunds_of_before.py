"""Refunds that an earlier version left under way count as called for: nobody wrote down whether they were."""

from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy import text

from shared.store import migrate
from shared.store.engine import statements
from tests.support.earlier_schema import EarlierSchema, at_revision
from tests.support.servers import TestServers

BEFORE = "0014"
"""The last revision that does not know when a PSP was called for a refund."""
_LEFT = text("""
    INSERT INTO refunds (tenant_id, action_id, tracking_number, attempt_no, amount_minor, currency, state, due_at)
    VALUES (:tenant, :action, :number, 1, 500, 'EUR', :state, CASE :state WHEN 'asked' THEN now() END)
""")


def left(earlier: EarlierSchema, state: str) -> str:
    """A refund that stands as *state*; the number of its order."""
    number = f"trk_{uuid.uuid4().hex}"
    with statements(earlier.engine) as conn:
        conn.execute(text("SET ROLE c2a_engine_room"))
        conn.execute(_LEFT, {"tenant": uuid.uuid4(), "action": uuid.uuid4(), "number": number, "state": state})
        conn.execute(text("RESET ROLE"))
    return number


def called(earlier: EarlierSchema) -> dict[str, Any]:
    with statements(earlier.engine) as conn:
        rows = conn.execute(text("SELECT tracking_number, called_at > now() - interval '1 min' FROM refunds"))
        return dict(tuple(row) for row in rows)


def test_what_was_under_way_counts_as_called_for_when_the_schema_was_brought_up(test_servers: TestServers) -> None:
    with at_revision(test_servers, BEFORE) as earlier:
        asked, given = left(earlier, "asked"), left(earlier, "given")
        migrate.upgrade(earlier.engine)
        assert called(earlier) == {asked: True, given: None}
