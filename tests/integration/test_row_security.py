"""PostgreSQL itself keeps tenants apart: what the catalogue says, and what the API can see (H2, H3 and H4)."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, Final

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege
from redis import Redis
from sqlalchemy import Connection, Engine, func, insert, literal, select, text, update
from sqlalchemy.exc import DBAPIError, ProgrammingError

from shared.config import Settings
from shared.domain.states import OrderState
from shared.store import accounts, housekeeping, keys, orders, overdue, tables
from shared.store.engine import create_engine, statements
from shared.store.row_security import Role
from shared.store.tenancy import act_for, acting_for
from tests.support import pg_proxy
from tests.support.front_door import parts_for
from tests.support.two_tenants import OneOfTwo, a_tenant

NO_ROWS_OF_TENANTS: Final = {"alembic_version"}
NAMED_BY_A_SECRET: Final = {"api_keys_by_hash", "psp_accounts_one_webhook_address"}
"""Unique without the tenant: by these the tenant is learned. Both are random and minted by us, so nobody can try one
that another tenant has."""
TABLES: Final = sorted(tables.metadata.tables)
PARTITION: Final = re.compile(r"(orders|order_events)_(before_\d{4}_\d\d|\d{4}_\d\d|default)")
MAY_READ: Final = sorted(set(TABLES) - {"api_keys", "event_deliveries"})


@pytest.fixture
def front_door(settings: Settings) -> Iterator[Engine]:
    """The API's way to the database, over one connection, so that whatever stays on it meets the next; several who want
    it wait for each other."""
    made = create_engine(settings.model_copy(update={"pool_size": 1, "database_wait_s": 30.0}), role=Role.API)
    yield made
    made.dispose()
    act_for(None)


@pytest.fixture(scope="module")
def two(settings: Settings, engine: Engine, vault_url: str) -> Iterator[tuple[OneOfTwo, OneOfTwo]]:
    """Two tenants with a row in every table each."""
    with Redis.from_url(vault_url) as redis:
        parts = parts_for(settings, engine, redis)
        yield a_tenant(parts, engine), a_tenant(parts, engine)
        parts.doorbell.close()


@pytest.fixture(scope="module")
def ids(two: tuple[OneOfTwo, OneOfTwo]) -> tuple[uuid.UUID, uuid.UUID]:
    """The UUIDs of the two."""
    return two[0].seller.shop.tenant_id, two[1].seller.shop.tenant_id


def seen(conn: Connection, table: str) -> set[uuid.UUID]:
    """Whose rows a statement that names no tenant finds."""
    return set(conn.execute(select(tables.metadata.tables[table].c.tenant_id)).scalars())


# What the catalogue says.


def test_every_table_of_tenants_forces_row_level_security_and_has_both_policies(engine: Engine) -> None:
    with statements(engine) as conn:
        rows = conn.execute(
            text("""
            SELECT relname, relrowsecurity AND relforcerowsecurity AS forced, relowner::regrole::text AS owner,
                   array(SELECT polname || ' ' || polroles::regrole[]::text FROM pg_policy
                         WHERE polrelid = pg_class.oid ORDER BY polname) AS policies
            FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace
            """)
        ).all()
    found = {row.relname: (row.forced, row.policies) for row in rows if row.relname not in NO_ROWS_OF_TENANTS}

    partitions = {name for name in found if PARTITION.fullmatch(name)}
    assert len(partitions) >= 2 * 4
    assert sorted(set(found) - partitions) == TABLES
    assert {str(value) for value in found.values()} == {
        str((True, ["every_tenant {c2a_engine_room}", "own_tenant {-}"]))
    }
    assert not {row.owner for row in rows} & set(Role)


def test_every_unique_and_foreign_key_holds_the_tenant(engine: Engine) -> None:
    """A key without it would tell one tenant that another has the value: by a conflict, or by a reference."""
    with statements(engine) as conn:
        without = conn.execute(
            text("""
            SELECT indexrelid::regclass::text FROM pg_index JOIN pg_class ON pg_class.oid = indrelid
            WHERE indisunique AND relnamespace = 'public'::regnamespace AND NOT EXISTS (
                SELECT FROM pg_attribute WHERE attrelid = indrelid AND attnum = ANY (indkey) AND attname = 'tenant_id')
            UNION ALL
            SELECT conname FROM pg_constraint
            WHERE contype = 'f' AND connamespace = 'public'::regnamespace AND NOT EXISTS (
                SELECT FROM pg_attribute WHERE attrelid = conrelid AND attnum = ANY (conkey) AND attname = 'tenant_id')
            """)
        ).scalars()
        assert set(without) == NAMED_BY_A_SECRET | {"alembic_version_pkc"}


def test_neither_role_owns_bypasses_or_becomes_more_than_it_is(engine: Engine) -> None:
    with statements(engine) as conn:
        rows = conn.execute(
            text("""
            SELECT rolname, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb,
                   (SELECT count(*) FROM pg_auth_members WHERE member = pg_roles.oid) AS memberships
            FROM pg_roles WHERE rolname = ANY (:roles)
            """),
            {"roles": list(Role)},
        ).all()

    assert {row.rolname for row in rows} == set(Role)
    assert {tuple(row)[1:] for row in rows} == {(False, False, False, False, 0)}


# What the API sees.


@pytest.mark.parametrize("table", MAY_READ)
def test_without_a_tenant_the_api_sees_no_row(two: tuple[OneOfTwo, OneOfTwo], front_door: Engine, table: str) -> None:
    """Neither on a fresh connection nor after a tenant was set on it: the setting then reads ''."""
    with statements(front_door) as conn:
        assert seen(conn, table) == set()
        with acting_for(two[0].seller.shop.tenant_id):
            seen(conn, table)
        assert seen(conn, table) == set()


@pytest.mark.parametrize("table", MAY_READ)
def test_a_statement_that_names_no_tenant_finds_one_tenants_rows(
    ids: tuple[uuid.UUID, uuid.UUID], front_door: Engine, engine: Engine, table: str
) -> None:
    with statements(engine) as conn:
        assert seen(conn, table) >= set(ids), "both have rows, and the engine room sees both"
    with statements(front_door) as conn:
        for tenant_id in (*ids, *ids):
            with acting_for(tenant_id):
                assert seen(conn, table) == {tenant_id}


def test_a_statement_that_forgets_its_tenant_changes_and_adds_nothing_of_anothers(
    ids: tuple[uuid.UUID, uuid.UUID], front_door: Engine, engine: Engine
) -> None:
    one, other = ids
    with acting_for(one), statements(front_door) as conn:
        changed = conn.execute(update(tables.orders).values(rings=7).returning(tables.orders.c.tenant_id))
        assert set(changed.scalars()) == {one}
        with pytest.raises(ProgrammingError) as refused:
            conn.execute(insert(tables.customers).values(tenant_id=other, customer_urn="cu.planted"))
        assert isinstance(refused.value.orig, InsufficientPrivilege)
    with statements(engine) as conn:
        rings = conn.execute(select(tables.orders.c.rings).where(tables.orders.c.tenant_id == other)).scalars()
        assert set(rings) == {0}


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM api_keys",
        "UPDATE api_keys SET revoked_at = NULL",
        "UPDATE tenants SET settings = '{}'",
        "DELETE FROM orders",
        "UPDATE psp_accounts SET enabled = true",
        "ALTER TABLE orders NO FORCE ROW LEVEL SECURITY",
        "CREATE TABLE own (x int)",
    ],
)
def test_the_api_may_not_do_what_it_never_does(
    ids: tuple[uuid.UUID, uuid.UUID], front_door: Engine, statement: str
) -> None:
    with acting_for(ids[0]), statements(front_door) as conn, pytest.raises(ProgrammingError) as refused:
        conn.execute(text(statement))

    assert isinstance(refused.value.orig, InsufficientPrivilege)


def test_a_tenant_is_learned_from_the_whole_secret_and_nothing_else(
    settings: Settings, two: tuple[OneOfTwo, OneOfTwo], front_door: Engine
) -> None:
    one, other = two
    ring = one.seller.parts.keyring
    with acting_for(other.seller.shop.tenant_id), statements(front_door) as conn:
        found = keys.find(conn, one.seller.shop.key)
        account = accounts.by_account_id(conn, ring, one.ids.account)
        assert found is not None
        assert account is not None
        assert {str(found.tenant_id), account.tenant_id} == {str(one.seller.shop.tenant_id)}
        assert orders.tenant_of(conn, one.ids.number) == one.seller.shop.tenant_id
        assert keys.find(conn, one.seller.shop.key[:-1]) is None
        assert accounts.by_account_id(conn, ring, "") is None
        assert orders.tenant_of(conn, "%") is None


# The setting never outlives its statement, or its transaction.


def test_the_setting_is_there_for_the_statement_and_gone_with_it(
    ids: tuple[uuid.UUID, uuid.UUID], front_door: Engine
) -> None:
    raw = front_door.raw_connection()
    try:
        driver: Any = raw.driver_connection
        driver.autocommit = True
        with acting_for(ids[0]):
            own = driver.execute("SELECT current_setting('c2a.tenant', true)").fetchone()
        plain = psycopg.Cursor(driver).execute("SELECT current_setting('c2a.tenant', true)").fetchone()
    finally:
        raw.close()

    assert (own, plain) == ((str(ids[0]),), ("",))


def test_one_connection_serves_tenants_in_turn_and_mixes_none(
    ids: tuple[uuid.UUID, uuid.UUID], front_door: Engine
) -> None:
    def look(number: int) -> bool:
        tenant_id = (*ids, None)[number % 3]
        with ExitStack() as stack:
            if tenant_id is not None:
                stack.enter_context(acting_for(tenant_id))
            opened = front_door.begin() if number % 2 else statements(front_door)
            conn = stack.enter_context(opened)
            return all(seen(conn, "orders") == ({tenant_id} - {None}) for _ in range(2))

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(look, range(300)))


@pytest.mark.parametrize("end", ["commit", "rollback", "error", "killed"])
def test_however_a_transaction_ends_the_next_has_no_tenant_of_it(
    ids: tuple[uuid.UUID, uuid.UUID], front_door: Engine, engine: Engine, end: str
) -> None:
    with acting_for(ids[0]):
        transaction = front_door.connect()
        assert seen(transaction, "orders") == {ids[0]}
        if end == "commit":
            transaction.commit()
        elif end == "rollback":
            transaction.rollback()
        elif end == "error":
            with pytest.raises(DBAPIError):
                transaction.execute(select(literal(1) / literal(0)))
        else:
            with statements(engine) as killer:
                backend = transaction.execute(select(func.pg_backend_pid())).scalar_one()
                assert killer.execute(select(func.pg_terminate_backend(backend))).scalar_one()
            with pytest.raises(DBAPIError) as cut:
                transaction.execute(select(literal(1)))
            assert cut.value.connection_invalidated
        transaction.close()

    with statements(front_door) as conn:
        assert seen(conn, "orders") == set()
    with acting_for(ids[1]), front_door.begin() as conn:
        assert seen(conn, "orders") == {ids[1]}


def test_within_a_transaction_every_statement_has_the_tenant_it_acts_for_then(
    ids: tuple[uuid.UUID, uuid.UUID], front_door: Engine
) -> None:
    """A webhook learns its tenant between two statements."""
    with front_door.begin() as conn:
        assert seen(conn, "orders") == set()
        for tenant_id in ids:
            with acting_for(tenant_id):
                assert seen(conn, "orders") == {tenant_id}
        assert seen(conn, "orders") == set()


def test_a_transaction_of_the_api_commits_and_rolls_back_as_one(
    ids: tuple[uuid.UUID, uuid.UUID], front_door: Engine
) -> None:
    customer = insert(tables.customers)
    with acting_for(ids[0]):
        with front_door.begin() as conn:
            conn.execute(customer, [{"tenant_id": ids[0], "customer_urn": f"cu.kept.{n}"} for n in range(3)])
        with front_door.connect() as conn:
            conn.execute(customer.values(tenant_id=ids[0], customer_urn="cu.dropped"))
            conn.rollback()
        with statements(front_door) as conn:
            urns = set(conn.execute(select(tables.customers.c.customer_urn)).scalars())

    assert {f"cu.kept.{n}" for n in range(3)} <= urns
    assert "cu.dropped" not in urns


def test_the_tenant_costs_no_round_trip(
    settings: Settings, postgres_url: str, ids: tuple[uuid.UUID, uuid.UUID]
) -> None:
    with pg_proxy.before(postgres_url) as proxy:
        through = settings.model_copy(update={"database_url": type(settings.database_url)(proxy.url)})
        engine = create_engine(through, role=Role.API)
        with acting_for(ids[0]), statements(engine) as conn:
            counted = []
            for _ in range(8):
                before = proxy.round_trips
                assert seen(conn, "orders") == {ids[0]}
                counted.append(proxy.round_trips - before)
        engine.dispose()

    assert counted == [1] * 8


# The engine room works across tenants, as a role of its own.


def test_the_engine_room_sees_every_tenant_by_its_own_role(
    settings: Settings, ids: tuple[uuid.UUID, uuid.UUID]
) -> None:
    engine = create_engine(settings, role=Role.ENGINE_ROOM)
    with statements(engine) as conn:
        assert conn.execute(select(func.current_user())).scalar_one() == Role.ENGINE_ROOM
        for table in TABLES:
            assert seen(conn, table) >= set(ids)
    engine.dispose()


def test_the_rescuer_finds_the_overdue_orders_of_a_canary_tenant(settings: Settings, two: tuple[OneOfTwo, ...]) -> None:
    engine = create_engine(settings, role=Role.ENGINE_ROOM)
    numbers = {tenant.ids.number for tenant in two}
    with engine.begin() as conn:
        conn.execute(
            update(tables.orders)
            .where(tables.orders.c.tracking_number.in_(numbers))
            .values(due_at=func.now() - literal(1).op("*")(text("interval '1 minute'")))
        )
        late = overdue.put_off(conn, OrderState.PAYING, limit=100, late_s=0)
        housekeeping.forget_old_keys(conn, days=31)
        conn.rollback()
    engine.dispose()

    assert set(late) == numbers


def test_a_login_of_its_own_for_the_api_is_a_member_of_nothing_else(
    settings: Settings, engine: Engine, postgres_url: str
) -> None:
    """As deploy/up gives the API: whatever it says, it can become nobody who sees more."""
    url = postgres_url.replace("postgresql://c2a:", f"postgresql://{Role.API}:")
    own = create_engine(settings.model_copy(update={"database_url": type(settings.database_url)(url)}), role=Role.API)
    with statements(own) as conn:
        assert conn.execute(text("SELECT session_user = current_user")).scalar_one()
        for statement in ("RESET ROLE", "SET row_security = off"):
            conn.execute(text(statement))
        for role in (Role.ENGINE_ROOM, "c2a", "postgres"):
            with pytest.raises(ProgrammingError):
                conn.execute(text(f"SET ROLE {role}"))
        with pytest.raises(ProgrammingError):  # row_security = off asks for all rows or an error.
            conn.execute(select(tables.orders))
    own.dispose()
