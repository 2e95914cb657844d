"""Tables of an earlier version become partitioned ones while orders flow, and stay what they were in all else."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from psycopg.errors import InsufficientPrivilege
from sqlalchemy import Engine, func, select, text
from sqlalchemy.exc import ProgrammingError

from shared.domain.states import OrderEvent, OrderState
from shared.ids import first_number_at
from shared.store import migrate, moves, number_order
from shared.store.engine import create_engine, statements
from shared.store.orders import Order
from shared.store.row_security import Role
from tests.support import lateness
from tests.support.earlier_schema import EarlierSchema, at_revision
from tests.support.order_rows import again, an_order
from tests.support.psp import until
from tests.support.servers import TestServers
from tests.support.unsynced import unsynced

BEFORE: Final = "0007"
"""The last revision with whole tables."""
AS_USUAL_S: Final = 1.0
"""As tests/integration/test_gentle_migrations.py."""
MORE_COME_WITHIN_S: Final = 30.0
"""Half a dozen customers, one after the other, on a busy machine."""
FULL_OF: Final = 60_000
"""Rows that take a moment to be read: long enough for others to come by."""
SORTS_BY_TIME: Final = {
    **dict.fromkeys(("C", "default", "en-x-icu", "de-x-icu", "en_US.utf8"), True),
    **dict.fromkeys(("cs-x-icu", "da-x-icu", "et-x-icu", "cs_CZ.utf8"), False),
}

_SHAPE: Final = """
    SELECT 'column ' || attname, format_type(atttypid, atttypmod) || ' ' || attnotnull || ' '
           || coalesce(pg_get_expr(adbin, adrelid), '')
    FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    WHERE attrelid = :table ::regclass AND attnum > 0
    UNION ALL SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE conrelid = :table ::regclass AND contype <> 'n'
    UNION ALL SELECT indexrelid::regclass::text, replace(pg_get_indexdef(indexrelid), ' ON ONLY ', ' ON ')
    FROM pg_index WHERE indrelid = :table ::regclass
    UNION ALL SELECT 'policy ' || polname, polroles::regrole[]::text || pg_get_expr(polqual, polrelid)
    FROM pg_policy WHERE polrelid = :table ::regclass
    UNION ALL SELECT 'shut and granted', relrowsecurity || ' ' || relforcerowsecurity || ' ' || relacl::text
    FROM pg_class WHERE oid = :table ::regclass ORDER BY 1
"""
_PARTITIONS: Final = """
    SELECT oid::regclass::text AS name, pg_get_expr(relpartbound, oid) AS bound FROM pg_class
    WHERE oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = :table ::regclass) ORDER BY 1
"""


@pytest.fixture(params=["orders", "order_events"])
def table(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def earlier(test_servers: TestServers) -> Iterator[EarlierSchema]:
    with at_revision(test_servers, BEFORE) as made:
        yield made


def shape(engine: Engine, table: str) -> list[Any]:
    """Columns, constraints, indexes, policies and privileges of *table*."""
    with statements(engine) as conn:
        return [tuple(row) for row in conn.execute(text(_SHAPE), {"table": table})]


def partitions(engine: Engine, table: str = "orders") -> dict[str, str]:
    """The bounds of each partition, by its name."""
    with statements(engine) as conn:
        return {row.name: row.bound for row in conn.execute(text(_PARTITIONS), {"table": table})}


def moved(engine: Engine, order: Order) -> Order:
    """*order* with its offer held."""
    how = {"actor": "lock_offer", "due_in": timedelta(hours=1), "amount_minor": 1, "currency": "EUR"}
    after = moves.advance(engine, order, OrderEvent.OFFER_HELD, **how)  # type: ignore[arg-type]
    assert after is not None
    return after


@contextmanager
def customers(engine: Engine) -> Iterator[list[float]]:
    """Somebody who orders, moves and polls without a pause; how long each of that took, less what the machine did."""
    took: list[float] = []
    stopping = threading.Event()
    failed: list[BaseException] = []

    def come() -> None:
        try:
            while not stopping.is_set():
                with lateness.watched() as late:
                    began = time.monotonic()
                    order = moved(engine, an_order(engine, OrderState.ADMITTED))
                    assert again(engine, order.tracking_number).version == order.version
                    spent = time.monotonic() - began
                took.append(spent - late.seconds)
        except BaseException as error:  # Told below, in the thread of the test.
            failed.append(error)
            raise

    customer = threading.Thread(target=come)
    customer.start()
    yield took
    seen = len(took)
    until(lambda: len(took) > seen + 5 or bool(failed), seconds=MORE_COME_WITHIN_S)
    stopping.set()
    customer.join()
    assert not failed


def test_whole_tables_become_partitioned_while_orders_flow_and_no_row_is_read_under_an_exclusive_lock(
    earlier: EarlierSchema,
) -> None:
    old = moved(earlier.engine, an_order(earlier.engine, OrderState.ADMITTED))
    with statements(earlier.engine) as conn:
        conn.execute(
            text("""
                INSERT INTO order_events (tenant_id, tracking_number, version, event, state, actor)
                SELECT :tenant, :number, n, 'admitted', 'admitted', 'api' FROM generate_series(10, :many) AS n"""),
            {"tenant": old.tenant_id, "number": old.tracking_number, "many": FULL_OF},
        )
    # Judged are the waits for locks: a revision holds its own until its commit is over, which on a busy disk is long.
    with unsynced(earlier.settings.database_url.get_secret_value()):
        earlier.listen()
        shop = create_engine(earlier.settings)
        with customers(shop) as took:
            until(lambda: len(took) > 5, seconds=MORE_COME_WITHIN_S)
            migrate.upgrade(earlier.engine)
        shop.dispose()

    assert max(took) < AS_USUAL_S
    assert again(earlier.engine, old.tracking_number).version == old.version
    for table in ("orders", "order_events"):
        [whole] = [name for name in partitions(earlier.engine, table) if "_before_" in name]
        assert f'partition constraint for table "{whole}" is implied by existing constraints' in earlier.notices
        assert f'verifying table "{whole}"' not in earlier.notices
        assert not [told for told in earlier.notices if "building index" in told and f'on table "{whole}"' in told]
        assert [told for told in earlier.notices if "building index" in told and f'on table "{table}_' in told]
        with statements(earlier.engine) as conn:
            rows = conn.execute(text(f"SELECT count(*) FROM {whole}")).scalar_one()
        assert rows >= len(took)


@pytest.mark.parametrize("cut_short_after", ["0008", "0009"])
def test_an_upgrade_that_was_cut_short_stops_no_order_and_goes_on_where_it_stopped(
    earlier: EarlierSchema, cut_short_after: str
) -> None:
    earlier.bring_to(cut_short_after)
    order = moved(earlier.engine, an_order(earlier.engine, OrderState.ADMITTED))
    migrate.upgrade(earlier.engine)
    assert again(earlier.engine, order.tracking_number).version == order.version


def test_orders_of_a_clock_that_was_ahead_are_carried_over_as_well(earlier: EarlierSchema) -> None:
    ahead = datetime.now(UTC) + timedelta(days=250)
    early = moved(earlier.engine, an_order(earlier.engine, OrderState.ADMITTED, tracking_number=first_number_at(ahead)))
    migrate.upgrade(earlier.engine)
    assert again(earlier.engine, early.tracking_number).version == 2
    [whole] = [name for name in partitions(earlier.engine) if "_before_" in name]
    assert whole > f"orders_before_{ahead:%Y_%m}"


def test_a_partitioned_table_has_all_that_the_whole_one_had(earlier: EarlierSchema, engine: Engine, table: str) -> None:
    assert shape(engine, table) == shape(earlier.engine, table)


def test_every_partition_has_the_indexes_and_constraints_of_its_table_and_is_granted_to_nobody(
    engine: Engine, table: str
) -> None:
    def essence(relation: str) -> set[str]:
        """What its columns, constraints, indexes and policies say, whatever they are called."""
        told = [of for name, of in shape(engine, relation) if name != "shut and granted"]
        return {of.partition(" USING ")[2] or of for of in told}

    names = list(partitions(engine, table))
    assert len(names) >= 4
    for name in names:
        assert essence(name) == essence(table)
        with statements(engine) as conn:
            query = text(
                "SELECT relforcerowsecurity AND relrowsecurity, relacl::text FROM pg_class WHERE relname = :name"
            )
            shut, granted = conn.execute(query, {"name": name}).one()
        assert shut
        assert not any(role in (granted or "") for role in Role)


@pytest.mark.parametrize("role", list(Role))
def test_by_the_name_of_a_partition_no_process_of_ours_reaches_a_row(
    earlier: EarlierSchema, engine: Engine, table: str, role: Role
) -> None:
    order = an_order(earlier.engine, OrderState.ADMITTED)
    migrate.upgrade(earlier.engine)
    own = create_engine(earlier.settings, role=role)
    for name, asked in itertools.product(
        partitions(earlier.engine, table), ("SELECT * FROM {}", "DELETE FROM {}", "DROP TABLE {}")
    ):
        with statements(own) as conn, pytest.raises(ProgrammingError) as refused:
            conn.execute(text(asked.format(name)))
        assert isinstance(refused.value.orig, InsufficientPrivilege)
    own.dispose()
    assert again(earlier.engine, order.tracking_number).version == order.version


def test_months_follow_each_other_without_a_gap_and_begin_with_their_first_millisecond(
    engine: Engine, table: str
) -> None:
    bounds = partitions(engine, table)
    [before] = [name for name in bounds if "_before_" in name]
    first = datetime.strptime(before[-7:], "%Y_%m").replace(tzinfo=UTC)
    assert first - datetime.now(UTC) > timedelta(days=30), "the steps may lie apart"
    assert bounds[before] == f"FOR VALUES FROM (MINVALUE) TO ('{first_number_at(first)}')"
    assert bounds[f"{table}_default"] == "DEFAULT"
    months = sorted(set(bounds) - {before, f"{table}_default"})
    assert len(months) >= 2
    for name in months:
        following = (first + timedelta(days=31)).replace(day=1)
        assert name == f"{table}_{first:%Y_%m}"
        assert bounds[name] == f"FOR VALUES FROM ('{first_number_at(first)}') TO ('{first_number_at(following)}')"
        first = following


def test_a_moment_before_all_numbers_has_the_first_of_them(engine: Engine) -> None:
    with statements(engine) as conn:
        first = conn.execute(select(func.c2a_first_number(datetime(1899, 1, 1, tzinfo=UTC)))).scalar_one()
    assert first == "trk_" + "0" * 26


@pytest.mark.parametrize("moment", ["1970-01-01", "2026-11-30 23:59:59.999", "2024-02-29 12:34:56.789", "9999-12-31"])
def test_the_database_and_the_front_door_give_a_moment_the_same_first_number(engine: Engine, moment: str) -> None:
    at = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    with statements(engine) as conn:
        assert conn.execute(select(func.c2a_first_number(at))).scalar_one() == first_number_at(at)


def test_a_collation_that_ranks_letters_otherwise_is_known(engine: Engine) -> None:
    """Of those below, the ones that this server was built with."""
    with statements(engine) as conn:
        there = set(conn.execute(text("SELECT collname FROM pg_collation")).scalars())
        by_time = {name: number_order.is_by_time(conn, name) for name in SORTS_BY_TIME if name in there}
    assert by_time == {name: SORTS_BY_TIME[name] for name in by_time}
    assert {"C", "default"} <= set(by_time)


def test_an_order_of_any_clock_has_a_place(engine: Engine) -> None:
    for year in (1970, 2001, 2026, 2031, 2200):
        number = first_number_at(datetime(year, 1, 1, tzinfo=UTC))
        order = an_order(engine, OrderState.ADMITTED, tracking_number=number)
        assert moved(engine, order).version == 2


def test_the_way_back_loses_nothing_and_may_be_gone_again(earlier: EarlierSchema, table: str) -> None:
    as_it_was = shape(earlier.engine, table)
    order = moved(earlier.engine, an_order(earlier.engine, OrderState.ADMITTED))
    for _ in range(2):
        migrate.upgrade(earlier.engine)
        assert again(earlier.engine, order.tracking_number).version == 2
        earlier.take_back_to(BEFORE)
        assert shape(earlier.engine, table) == as_it_was
    assert again(earlier.engine, order.tracking_number).version == 2
