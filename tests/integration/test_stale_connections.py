"""A restart of the database costs the orders in hand no message: a step whose connection was cut is taken again. So is
one that PostgreSQL undid for the sake of another session."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError

from shared.domain.states import OrderState
from shared.store.engine import create_engine
from shared.store.row_security import Role
from tests.support.engine_room import EngineRoom
from tests.support.psp import until
from tests.support.told import told_of
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


@pytest.fixture
def strict(room: EngineRoom) -> Iterator[EngineRoom]:
    """The same room where whoever meets another's commit is undone: a pooler threw away what we ask for at the start,
    and the server's own default is REPEATABLE READ."""
    engine = create_engine(room.run.settings, role=Role.ENGINE_ROOM)

    @event.listens_for(engine, "connect")
    def as_the_server_has_it(connection: Any, _record: Any) -> None:
        connection.cursor().execute("SET default_transaction_isolation = 'repeatable read'")
        connection.commit()

    yield replace(room, run=replace(room.run, engine=engine))
    engine.dispose()


def test_a_step_that_was_undone_as_another_session_had_changed_its_order_is_taken_again(strict: EngineRoom) -> None:
    number = strict.admitted()
    ring = text("UPDATE orders SET rings = rings + 1 WHERE tracking_number = :n")
    blocked = "SELECT 1 FROM pg_stat_activity WHERE :me = ANY (pg_blocking_pids(pid))"
    with told_of("step") as told, ThreadPoolExecutor(1) as worker, strict.owner.begin() as rescuer:
        me = rescuer.execute(text("SELECT pg_backend_pid()")).scalar_one()
        rescuer.execute(ring, {"n": number})
        locking = worker.submit(twice_if_undone, lock_offer, strict.run, number)
        until(lambda: strict.sql(blocked, me=me))
        rescuer.commit()
        assert locking.result(20)
    assert [line["error"] for line in told] == ["SerializationFailure"]
    assert strict.state(number) is OrderState.OFFER_LOCKED


def test_a_step_that_failed_otherwise_is_not_repeated(room: EngineRoom) -> None:
    taken: list[str] = []

    def breaks(run: Runtime, number: str) -> bool:
        taken.append(number)
        room.sql("SELECT 1 / 0")
        return True

    with pytest.raises(DBAPIError):
        twice_if_undone(breaks, room.run, "trk_x")
    assert taken == ["trk_x"]
