"""The bench's large table is a shop's past year: whole orders in the partitions of their months."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

from sqlalchemy.engine import make_url
from ulid import ULID

from deploy.measure import bar, copies, database, hands, year
from shared.config import Settings
from shared.messages import Step, is_ours, message
from shared.store import months
from shared.store.engine import create_engine
from tests.support.engine_room import EngineRoom
from tests.support.servers import TestServers
from workers.pay import pay
from workers.tokenize import tokenize

ORDERS = 2_400
SCHEMA = """
    SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace AND conrelid = ANY (ARRAY['payment_attempts', 'idempotency_keys',
        'orders', 'order_events']::regclass[])
    UNION ALL SELECT tablename, indexname, indexdef FROM pg_indexes
    WHERE tablename IN ('payment_attempts', 'idempotency_keys', 'orders', 'order_events')
    ORDER BY 1, 2, 3
"""


def an_hour_into_its_month(now: datetime) -> datetime:
    """*now*, or so late on the first day of its month that orders old enough lie in each of the months."""
    first_day = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return max(now.replace(microsecond=0), first_day + timedelta(hours=1))


def test_a_year_of_orders_lies_in_its_months_as_the_product_would_have_left_it(
    room: EngineRoom, settings: Settings, test_servers: TestServers, postgres_url: str
) -> None:
    now = an_hour_into_its_month(datetime.now(UTC))
    number = room.locked()
    assert pay(room.run, number)
    tokenize(room.run, number)
    url = test_servers.cluster.url(database=str(make_url(postgres_url).database))
    with database.connected(url) as conn:
        events = int(database.value(conn, "SELECT count(*) FROM order_events WHERE tracking_number = %s", number))
        before = conn.execute(SCHEMA).fetchall()

        works = year.plan(conn, number, ORDERS, now)
        with bar.shown("filling", 1, lambda _line: None) as shown:
            hands.do(url, works, shown)
        copies.forget(conn)

        assert conn.execute(SCHEMA).fetchall() == before
        rows = conn.execute("SELECT tableoid::regclass::text, admitted_at FROM orders ORDER BY admitted_at").fetchall()
        assert {part for part, _ in rows} == {f"orders_{at:%Y_%m}" for _, at in rows}
        by_month = Counter(f"{at:%Y-%m}" for _, at in rows)
        assert len(by_month) == year.MONTHS
        assert max(by_month.values()) < 2 * ORDERS / year.MONTHS
        assert rows[-1][1] <= now - year.UNEXAMINED
        counts = {name: int(database.value(conn, f"SELECT count(*) FROM {name}")) for name in copies.TABLES}
        assert counts | {"idempotency_keys": 0} == {
            "orders": ORDERS,
            "order_events": events * ORDERS,
            "payment_attempts": ORDERS,
            "idempotency_keys": 0,
        }
        assert 0 < counts["idempotency_keys"] < ORDERS / 10
        assert conn.execute("SELECT * FROM orders_default").fetchall() == []
        for name, at in conn.execute(
            "SELECT tracking_number, admitted_at FROM orders WHERE random() < 0.01"
        ).fetchall():
            asked = message(Step.PAY, name)
            assert is_ours("application/json", asked.headers, asked.body)
            assert abs(ULID.from_str(name.removeprefix("trk_")).timestamp - at.timestamp()) < 0.002
            query = "SELECT array_agg(event ORDER BY version) FROM order_events WHERE tracking_number = %s"
            assert len(database.value(conn, query, name)) == events
            assert database.value(conn, "SELECT count(*) FROM payment_attempts WHERE tracking_number = %s", name) == 1
    engine = create_engine(settings)
    assert months.make(engine) == []
    engine.dispose()
