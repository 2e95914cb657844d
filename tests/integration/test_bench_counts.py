"""What the bench counts and copies is what is there: one counter and one copier, against the real server."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.engine import make_url

from deploy.measure import copies, database, wire
from deploy.stack.waiting import until
from tests.support.engine_room import EngineRoom
from tests.support.servers import TestServers

COPIES = 5


@pytest.fixture
def conn(test_servers: TestServers, postgres_url: str) -> Iterator[database.Connection]:
    """A connection to whom every row is shown."""
    with database.connected(test_servers.cluster.url(database=str(make_url(postgres_url).database))) as opened:
        yield opened


def test_the_wire_counts_what_a_driver_sends_behind_its_callers_back(postgres_url: str) -> None:
    with wire.counted(postgres_url) as heard, psycopg.connect(heard.url) as through:
        before = (heard.round_trips, heard.statements, heard.transactions)
        through.execute("SELECT 1")
        through.execute("SELECT 2")
        through.commit()
        after = (heard.round_trips, heard.statements, heard.transactions)

    assert [now - then for now, then in zip(after, before, strict=True)] == [4, 2, 1]


def test_copies_of_a_waiting_order_wait_as_it_does(room: EngineRoom, conn: database.Connection) -> None:
    number = room.admitted()

    assert list(copies.copy(conn, number, COPIES, run="wait")) == [COPIES]

    due = conn.execute(
        "SELECT DISTINCT state, due_at FROM orders WHERE tracking_number = %s OR correlation_id LIKE 'copy-wait-%%'",
        [number],
    ).fetchall()
    assert [state for state, _ in due] == ["admitted"]


def test_orders_are_forgotten_also_while_somebody_stands_crosswise(
    room: EngineRoom, conn: database.Connection, test_servers: TestServers
) -> None:
    room.admitted()
    ours_first = next(iter(database.emptied()))
    with psycopg.connect(conn.info.dsn, password=conn.info.password) as other, ThreadPoolExecutor(1) as pool:
        # It is we whom PostgreSQL finds to be in the way: it looks once a wait, and by then the other one waits, too.
        conn.execute("SET deadlock_timeout = '3s'")
        other.execute("SET deadlock_timeout = '30s'")
        other.execute("LOCK TABLE orders IN ROW EXCLUSIVE MODE")
        forgetting = pool.submit(database.empty_orders, conn)
        until(lambda: _waits(test_servers, conn), "we wait for the other one", within_s=10)
        other.execute(sql.SQL("LOCK TABLE {} IN ROW EXCLUSIVE MODE").format(sql.Identifier(ours_first)))
        other.commit()
        forgetting.result(timeout=30)

    assert database.value(conn, "SELECT count(*) FROM orders") == 0


def _waits(test_servers: TestServers, conn: database.Connection) -> bool:
    with database.connected(test_servers.cluster.url()) as onlooker:
        query = "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = %s"
        return bool(database.value(onlooker, query, conn.info.backend_pid))
