"""A restart of the database costs the orders in hand no message: a step whose connection was cut is taken again."""

from __future__ import annotations

import psycopg
import pytest
from sqlalchemy.exc import DBAPIError

from shared.domain.states import OrderState
from tests.support.engine_room import EngineRoom
from workers.lock_offer import lock_offer
from workers.runtime import Runtime
from workers.walk import twice_if_undone


def cut_all(room: EngineRoom) -> None:
    """Terminate every pooled session, as a restart does; the pool only learns of it by using one."""
    url = room.run.settings.database_url.get_secret_value()
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = 'c2a'"
        )


def test_a_step_on_a_stale_connection_is_taken_again_at_once(room: EngineRoom) -> None:
    number = room.admitted()
    cut_all(room)
    assert twice_if_undone(lock_offer, room.run, number)
    assert room.state(number) is OrderState.OFFER_LOCKED


def test_a_step_that_failed_otherwise_is_not_repeated(room: EngineRoom) -> None:
    taken: list[str] = []

    def breaks(run: Runtime, number: str) -> bool:
        taken.append(number)
        room.sql("SELECT 1 / 0")
        return True

    with pytest.raises(DBAPIError):
        twice_if_undone(breaks, room.run, "trk_x")
    assert taken == ["trk_x"]
