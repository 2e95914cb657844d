"""Every month has its partition before its first order, and an order that comes to none lies in the default one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest
from sqlalchemy import Engine, text

from shared.config import Settings
from shared.domain.states import OrderEvent, OrderState
from shared.ids import first_number_at
from shared.store import months, moves
from shared.store.engine import create_engine, statements
from shared.store.orders import Order
from shared.store.row_security import Role
from tests.support.last_month import without_last_month
from tests.support.order_rows import again, an_order
from tests.support.statements import counting
from tests.support.told import told_of


@pytest.fixture
def room(settings: Settings) -> Iterator[Engine]:
    """The engine room's own way to the database: it owns nothing there."""
    made = create_engine(settings, role=Role.ENGINE_ROOM)
    yield made
    made.dispose()


@pytest.fixture
def last(engine: Engine, room: Engine) -> date:
    """The last month that upkeep makes, gone again: as if it had been away when that one was due."""
    with statements(engine) as conn:
        conn.execute(text("TRUNCATE orders, order_events"))
    months.make(room)
    return without_last_month(engine)


def in_month(engine: Engine, month: date) -> Order:
    """An order whose number is of *month*, with a move behind it."""
    moment = datetime(month.year, month.month, 7, tzinfo=UTC)
    admitted = an_order(engine, OrderState.ADMITTED, tracking_number=first_number_at(moment))
    order = moves.advance(
        engine,
        admitted,
        OrderEvent.OFFER_HELD,
        actor="lock_offer",
        due_in=timedelta(hours=1),
        amount_minor=1499,
        currency="EUR",
    )
    assert order is not None
    return order


def where(engine: Engine, number: str) -> dict[str, int]:
    """In which tables the rows of an order lie."""
    query = """
        SELECT tableoid::regclass::text AS name FROM orders WHERE tracking_number = :n
        UNION ALL SELECT tableoid::regclass::text FROM order_events WHERE tracking_number = :n"""
    with statements(engine) as conn:
        names = list(conn.execute(text(query), {"n": number}).scalars())
    return {name: names.count(name) for name in names}


def test_three_months_ahead_have_their_partition_and_then_nothing_is_done(room: Engine, last: date) -> None:
    assert months.make(room) == [last]
    with statements(room) as conn:
        assert months.missing(conn) == []
    with counting(room) as sent:
        assert months.make(room) == []
    assert len(sent) == 1, "one look at the catalogue"
    assert (last - datetime.now(UTC).date()) > timedelta(days=58)


def test_an_order_that_came_too_early_goes_on_and_is_moved_into_its_month(
    engine: Engine, room: Engine, last: date
) -> None:
    order = in_month(engine, last)
    assert where(engine, order.tracking_number) == {"orders_default": 1, "order_events_default": 1}
    other = an_order(engine, OrderState.ADMITTED, tracking_number=first_number_at(datetime(2199, 1, 1, tzinfo=UTC)))

    assert months.make(room) == [last]

    assert where(engine, order.tracking_number) == {f"orders_{last:%Y_%m}": 1, f"order_events_{last:%Y_%m}": 1}
    assert where(engine, other.tracking_number) == {"orders_default": 1}
    moved = again(engine, order.tracking_number)
    assert (moved.version, moved.fence, moved.state) == (order.version, order.fence, order.state)
    assert moves.advance(engine, moved, OrderEvent.CANCELLED, actor="upkeep", failure="CANCELLED") is not None


def test_more_rows_than_may_be_moved_at_once_stay_where_they_are_and_an_alarm_is_raised(
    engine: Engine, room: Engine, last: date
) -> None:
    order = in_month(engine, last)
    with told_of("months") as told:
        assert months.make(room, most=1) == []
    assert [(line["event"], line["log_level"]) for line in told] == [("months.too_many_in_default", "error")]
    assert set(where(engine, order.tracking_number)) == {"orders_default", "order_events_default"}


def test_whoever_is_in_the_way_is_waited_for_half_a_second_and_the_next_round_does_it(
    settings: Settings, room: Engine, last: date
) -> None:
    with psycopg.connect(settings.database_url.get_secret_value()) as reader:
        reader.execute("SELECT FROM orders LIMIT 1")
        with told_of("months") as told:
            assert months.make(room) == []
        reader.rollback()
    assert [line["event"] for line in told] == ["months.wait"]
    assert months.make(room) == [last]


def test_of_two_processes_one_makes_a_month(engine: Engine, room: Engine, last: date) -> None:
    with engine.begin() as other:
        other.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": months.LOCK})
        assert months.make(room) == []
    assert months.make(room) == [last]
