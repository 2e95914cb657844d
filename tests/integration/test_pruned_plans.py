"""A statement about one order has one partition in its plan, also in the one PostgreSQL keeps for all numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import psycopg
import pytest
from sqlalchemy import Engine, text

from shared.config import Settings
from shared.domain.money import Money
from shared.domain.states import CheckoutCode, OrderEvent, OrderState
from shared.ids import first_number_at
from shared.store import holds, leases, moves, orders, overdue, status
from shared.store.engine import create_engine, statements
from shared.store.orders import Order
from tests.support.order_crowds import a_crowd
from tests.support.order_rows import an_order
from tests.support.statements import counting
from workers.sight import Sight, order_and_offer, order_offer_and_accounts

SCANNED: Final = re.compile(r"(?:Scan on|Scan using \S+ on|Update on) (orders_\w+|order_events_\w+)")
FINISH_MOST: Final = """
    UPDATE orders SET state = 'done', due_at = NULL, finished_at = now(), amount_minor = 1, currency = 'EUR'
    WHERE right(tracking_number, 1) <> '1' AND due_at IS NOT NULL
"""
FULL: Final = "SELECT relname FROM pg_class WHERE reltuples > 0 AND relkind = 'r' AND relname ~ '^orders_'"
HOUR: Final = timedelta(hours=1)
IN_A_MONTH_OF_ITS_OWN: Final = timedelta(days=80)
"""From now, on any day: a new schema's first partition ends with the month that is in 35 days, and the two months after
it have one each (migrations 0008 and 0010)."""
TIME_OF_NUMBER: Final = len("trk_") + 10
"""The letters of a number that tell when it was minted, and those before them."""


def poll(engine: Engine, order: Order) -> object:
    return status.read(engine, order.tenant_id, [order.tracking_number])


def look_for_a_waiter(engine: Engine, order: Order) -> object:
    return status.moved(engine, order.tenant_id, [order.tracking_number], CheckoutCode.DONE)


def lock(engine: Engine, order: Order) -> object:
    with engine.begin() as conn:
        return orders.lock(conn, order.tenant_id, order.tracking_number)


def hold(engine: Engine, order: Order) -> object:
    return holds.hold(engine, order, single_use=True, price=Money(1499, "EUR"), due_in=HOUR)


def fail(engine: Engine, order: Order) -> object:
    return moves.advance(engine, order, OrderEvent.CANCELLED, actor="upkeep", failure="CANCELLED")


def read_for_engine_room(engine: Engine, order: Order) -> object:
    Sight.of(engine, order.tracking_number)
    order_and_offer(engine, order.tracking_number)
    order_offer_and_accounts(engine, order.tracking_number)
    return orders.get(engine, order.tracking_number)


@pytest.fixture
def generic(settings: Settings) -> Iterator[psycopg.Connection[Any]]:
    """A connection that plans for all numbers at once, as PostgreSQL does once a statement was prepared for long."""
    with psycopg.connect(settings.database_url.get_secret_value(), autocommit=True) as conn:
        conn.execute("SET plan_cache_mode = force_generic_plan")
        yield conn


def kept_plan(conn: psycopg.Connection[Any], statement: str) -> str:
    """The plan of *statement* for whatever values."""
    names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", statement)))
    for number, name in enumerate(names, 1):
        statement = statement.replace(f"%({name})s", f"${number}")
    conn.execute("DEALLOCATE ALL")
    conn.execute(f"PREPARE kept AS {statement}".replace("%%", "%"))
    given = ", ".join(["NULL"] * len(names))
    rows = conn.execute(f"EXPLAIN (VERBOSE false) EXECUTE kept ({given})").fetchall()
    return "\n".join(row[0] for row in rows)


@pytest.mark.parametrize("work", [poll, look_for_a_waiter, lock, hold, fail, read_for_engine_room])
def test_what_names_an_order_touches_one_partition(
    engine: Engine, generic: psycopg.Connection[Any], work: Callable[[Engine, Order], object]
) -> None:
    order = an_order(engine, OrderState.ADMITTED)
    with counting(engine) as sent:
        assert work(engine, order) is not None
    for statement in (one for one in sent if "orders" in one):  # Beside it others ask whether somebody listens.
        plan = kept_plan(generic, statement)
        assert len(set(SCANNED.findall(plan))) == 1, plan
        assert "Subplans Removed" not in plan
        assert "Seq Scan on orders" not in plan


def test_an_admission_looks_for_room_in_no_partition_but_its_own(settings: Settings, engine: Engine) -> None:
    """An INSERT opens the partition it goes to and locks no other."""
    own = create_engine(settings.model_copy(update={"pool_size": 1}))
    with own.begin() as conn:
        order = an_order(engine, OrderState.ADMITTED)
        conn.execute(
            text("""
                INSERT INTO order_events (tenant_id, tracking_number, version, event, state, actor)
                VALUES (:t, :n, 1, 'admitted', 'admitted', 'api')"""),
            {"t": order.tenant_id, "n": order.tracking_number},
        )
        query = "SELECT relation::regclass::text FROM pg_locks WHERE pid = pg_backend_pid() AND relation IS NOT NULL"
        locked = set(conn.execute(text(query)).scalars())
    own.dispose()
    assert len([name for name in locked if re.fullmatch(r"order_events_\w*\d", name)]) == 1


def test_leases_are_renewed_in_the_partition_of_their_orders(engine: Engine) -> None:
    held = [an_order(engine, OrderState.ADMITTED).tracking_number for _ in range(3)]
    with counting(engine) as sent, statements(engine) as conn:
        leases.renew(conn, [(number, 1) for number in held], terms=leases.LeaseTerms(HOUR, HOUR))
    values = {"numbers": held, "fences": [1, 1, 1], "length": HOUR, "first": min(held), "last": max(held)}
    with psycopg.connect(engine.url.set(drivername="postgresql").render_as_string(hide_password=False)) as conn:
        rows = conn.execute("EXPLAIN " + sent[0], values).fetchall()
    plan = "\n".join(row[0] for row in rows)
    assert len(set(SCANNED.findall(plan))) == 1, plan


@pytest.mark.parametrize("statement", ["_DUE", "_PUT_OFF"])
def test_the_rescuer_reads_the_index_of_live_orders_of_every_month(engine: Engine, statement: str) -> None:
    a_month_to_come = first_number_at(datetime.now(UTC) + IN_A_MONTH_OF_ITS_OWN)[:TIME_OF_NUMBER]
    for prefix in ("trk_01A", a_month_to_come, "trk_now_"):
        a_crowd(engine, OrderState.CONFIRMING, 2_000, age_s=60, prefix=prefix)
    with engine.begin() as conn:
        conn.execute(text(FINISH_MOST))
        conn.execute(text("ANALYZE orders"))
    sql = str(getattr(overdue, statement).compile())
    values = {"state": "confirming", "late": 0, "limit": 1_000, "first": 10, "longest": 60, "live": ["confirming"]}
    with statements(engine) as conn:
        plan = "\n".join(conn.execute(text(f"EXPLAIN {sql}"), values | {"in_row": False}).scalars())
        full = conn.execute(text(FULL)).scalars().all()
    assert len(full) == 3
    for name in full:
        assert f"Seq Scan on {name}" not in plan
        assert re.search(rf"{name}_(state_due_at_idx|due)", plan)
