"""How stored methods are kept, on a real PostgreSQL: numbered, sealed, once an order, gone when deleted."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy import Connection, Engine, text

from shared import keyring
from shared.domain.outcomes import KeptMethod
from shared.keyring import CannotOpen
from shared.psp.port import Channel
from shared.store import customers, methods
from shared.store.methods import MethodState, StoredToken

RING = keyring.fresh()
KEPT = KeptMethod("tok_zq7", "411111******1111", "VISA", "2029", "12")


@pytest.fixture
def tenant_id() -> uuid.UUID:
    """A tenant of this test's own; methods need no row of it."""
    return uuid.uuid4()


def store(
    conn: Connection, tenant_id: uuid.UUID, customer: str = "cu.00.482", *, order: str | None = None, token: str = ""
) -> str:
    """Keep a card."""
    kept = KeptMethod(token or KEPT.token, KEPT.masked_number, KEPT.card_type, KEPT.expire_year, KEPT.expire_month)
    return methods.store(
        conn,
        RING,
        tenant_id,
        customer,
        Channel.CREDIT_CARD,
        "sandbox",
        kept,
        alias="Personal Visa",
        tracking_number=order,
    )


def test_methods_are_numbered_a_customer_and_never_reuse_a_number(engine: Engine, tenant_id: uuid.UUID) -> None:
    with engine.begin() as conn:
        assert store(conn, tenant_id) == "pm.00.482.1"
        assert store(conn, tenant_id) == "pm.00.482.2"
        methods.mark_deleted(conn, tenant_id, "pm.00.482.2")
        assert store(conn, tenant_id) == "pm.00.482.3"
        assert store(conn, tenant_id, "cu.00.483") == "pm.00.483.1"
        assert store(conn, uuid.uuid4()) == "pm.00.482.1"  # Another tenant counts for itself.


def test_customers_that_differ_only_by_the_prefix_do_not_collide(engine: Engine, tenant_id: uuid.UUID) -> None:
    with engine.begin() as conn:
        assert [store(conn, tenant_id, customer) for customer in ("cu.9", "9", "cu.9", "9.1", "cu.9.1")] == [
            "pm.9.1",
            "pm.9.2",
            "pm.9.3",
            "pm.9.1.1",
            "pm.9.1.2",
        ]


def test_two_adds_at_once_make_two_methods(engine: Engine, tenant_id: uuid.UUID) -> None:
    """Both transactions are open before either stores: the lock, not luck, orders them."""
    together = Barrier(4, timeout=10)

    def add(_: int) -> str:
        with engine.begin() as conn:
            conn.execute(text("SELECT 1"))
            together.wait()
            return store(conn, tenant_id)

    with ThreadPoolExecutor(4) as pool:
        made = sorted(pool.map(add, range(4)))

    assert made == [f"pm.00.482.{number}" for number in (1, 2, 3, 4)]


def test_an_order_stores_one_method_however_often_its_step_runs(engine: Engine, tenant_id: uuid.UUID) -> None:
    together = Barrier(3, timeout=10)

    def tokenize(_: int) -> str:
        with engine.begin() as conn:
            conn.execute(text("SELECT 1"))
            together.wait()
            return store(conn, tenant_id, order="trk_1")

    with ThreadPoolExecutor(3) as pool:
        made = set(pool.map(tokenize, range(3)))
    with engine.begin() as conn:
        assert made == {"pm.00.482.1"}
        assert len(methods.list_of(conn, tenant_id, "cu.00.482")) == 1
        assert store(conn, tenant_id, order="trk_2") == "pm.00.482.2"


def test_a_stored_method_tells_all_but_its_token(engine: Engine, tenant_id: uuid.UUID) -> None:
    with engine.begin() as conn:
        urn = store(conn, tenant_id)
        found = methods.get(conn, tenant_id, urn)
        row = conn.execute(text("SELECT * FROM stored_methods WHERE tenant_id = :t"), {"t": tenant_id}).one()

        assert found is not None
        assert (found.customer_urn, found.channel, found.provider) == ("cu.00.482", Channel.CREDIT_CARD, "sandbox")
        assert (found.masked_number, found.card_type) == ("411111******1111", "VISA")
        assert (found.expire_month, found.expire_year, found.alias) == ("12", "2029", "Personal Visa")
        assert found.state is MethodState.ACTIVE
        assert "tok_zq7" not in repr(row)
        assert methods.token_of(conn, RING, tenant_id, urn) == StoredToken("sandbox", "tok_zq7", Channel.CREDIT_CARD)
        assert "tok_zq7" not in repr(methods.token_of(conn, RING, tenant_id, urn))
        assert customers.is_known(conn, tenant_id, "cu.00.482")


def test_a_token_moved_to_another_row_does_not_open(engine: Engine, tenant_id: uuid.UUID) -> None:
    with engine.begin() as conn:
        one, other = store(conn, tenant_id), store(conn, tenant_id, token="tok_other")
        conn.execute(
            text(
                "UPDATE stored_methods SET token = (SELECT token FROM stored_methods WHERE tenant_id = :t AND"
                " method_urn = :one) WHERE tenant_id = :t AND method_urn = :other"
            ),
            {"t": tenant_id, "one": one, "other": other},
        )
        with pytest.raises(CannotOpen):
            methods.token_of(conn, RING, tenant_id, other)


def test_a_deleted_method_is_not_found_in_any_way(engine: Engine, tenant_id: uuid.UUID) -> None:
    with engine.begin() as conn:
        urn, stays = store(conn, tenant_id), store(conn, tenant_id)
        deleted = methods.mark_deleted(conn, tenant_id, urn)

        assert deleted is not None
        assert deleted.state is MethodState.DELETED
        assert methods.mark_deleted(conn, tenant_id, urn) is None
        assert methods.get(conn, tenant_id, urn) is None
        assert methods.token_of(conn, RING, tenant_id, urn) is None
        assert methods.set_state(conn, tenant_id, urn, MethodState.ACTIVE) is None
        assert [method.method_urn for method in methods.list_of(conn, tenant_id, "cu.00.482")] == [stays]


def test_another_tenant_finds_and_changes_nothing(engine: Engine, tenant_id: uuid.UUID) -> None:
    other = uuid.uuid4()
    with engine.begin() as conn:
        urn = store(conn, tenant_id)

        assert methods.get(conn, other, urn) is None
        assert methods.token_of(conn, RING, other, urn) is None
        assert methods.set_state(conn, other, urn, MethodState.INACTIVE) is None
        assert methods.mark_deleted(conn, other, urn) is None
        assert methods.list_of(conn, other, "cu.00.482") == []
        assert methods.get(conn, tenant_id, urn) is not None


def test_a_list_is_newest_first_and_bounded(engine: Engine, tenant_id: uuid.UUID) -> None:
    with engine.begin() as conn:
        for _ in range(methods.MOST_LISTED + 1):
            store(conn, tenant_id)
        listed = [method.method_urn for method in methods.list_of(conn, tenant_id, "cu.00.482")]

    assert listed == [f"pm.00.482.{number}" for number in range(methods.MOST_LISTED + 1, 1, -1)]
