"""A sealed value is of use only where it was written: moved to another row, order, tenant or purpose, it refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from shared import key_file, keyring
from shared.config import Settings
from shared.domain.states import OrderState
from shared.kept import open_kept
from shared.key_service import CannotOpen, RetiredKey
from shared.local_keys import LocalKeys
from shared.store import accounts, methods
from shared.store.engine import statements
from tests.support import engine_room
from tests.support.engine_room import EngineRoom
from tests.support.psp import Sandbox
from tests.support.wire import fresh_card, stored_card
from workers.pay import pay
from workers.tokenize import tokenize

KEEPING = fresh_card(storeMethodSuccessPayment="always")


def a_stored_method(room: EngineRoom) -> str:
    number = room.locked(KEEPING)
    assert pay(room.run, number)
    tokenize(room.run, number)
    [(urn,)] = room.sql("SELECT method_urn FROM stored_methods WHERE tracking_number = :n", n=number)
    return str(urn)


def test_a_token_moved_to_another_method_by_sql_does_not_open(room: EngineRoom) -> None:
    mine, yours = a_stored_method(room), a_stored_method(room)
    room.sql(
        "UPDATE stored_methods SET token = (SELECT token FROM stored_methods WHERE method_urn = :yours)"
        " WHERE method_urn = :mine",
        mine=mine,
        yours=yours,
    )
    with statements(room.run.engine) as conn, pytest.raises(CannotOpen):
        methods.token_of(conn, room.run.keyring, room.seller.shop.tenant_id, mine)


def test_what_a_psp_kept_moved_to_another_order_by_sql_does_not_open(room: EngineRoom) -> None:
    mine, yours = room.locked(KEEPING), room.locked(KEEPING)
    assert pay(room.run, mine)
    assert pay(room.run, yours)
    room.sql(
        "UPDATE payment_attempts SET kept_token = (SELECT kept_token FROM payment_attempts WHERE tracking_number = :y)"
        " WHERE tracking_number = :m",
        m=mine,
        y=yours,
    )
    with pytest.raises(CannotOpen):
        open_kept(room.run.keyring, room.attempt(mine))


def test_credentials_moved_to_another_tenant_by_sql_do_not_open(
    room: EngineRoom, settings: Settings, vault_url: str, shared_psp: Sandbox
) -> None:
    with engine_room.opened(settings, vault_url, shared_psp, keyring=room.run.keyring) as other:
        tenant = other.seller.shop.tenant_id
        other.sql(
            "UPDATE psp_accounts SET credentials = (SELECT credentials FROM psp_accounts WHERE tenant_id = :mine)"
            " WHERE tenant_id = :yours",
            mine=room.seller.shop.tenant_id,
            yours=tenant,
        )
        with statements(other.run.engine) as conn, pytest.raises(CannotOpen):
            accounts.for_tenant(conn, other.run.keyring, tenant)


@pytest.mark.parametrize("retires", [False, True], ids=["rotated", "retired"])
def test_orders_on_their_way_are_paid_over_a_rotation_and_a_retired_key_refuses_them(
    settings: Settings, vault_url: str, shared_psp: Sandbox, tmp_path: Path, retires: bool
) -> None:
    """Card, PSP account and stored method were sealed before; none of the processes is started again."""
    path = tmp_path / "keyring.json"
    keyring.save(keyring.fresh(), path)
    with engine_room.opened(settings, vault_url, shared_psp, keyring=key_file.follow(path)) as room:
        fresh, stored = room.locked(), room.locked(stored_card(a_stored_method(room)))
        change(path, lambda keys: keys.rotated())
        if retires:
            change(path, lambda keys: keys.without("k1"))
            for number in (fresh, stored):
                with pytest.raises(RetiredKey):
                    pay(room.run, number)
                assert (room.state(number), room.attempts(number)) == (OrderState.OFFER_LOCKED, [])
        else:
            assert [pay(room.run, number) for number in (fresh, stored)] == [True, True]
            assert pay(room.run, room.locked())  # Sealed by the new key.


def change(path: Path, how: Callable[[LocalKeys], LocalKeys]) -> None:
    ring = keyring.load(path)
    assert isinstance(ring.keys, LocalKeys)
    keyring.save(replace(ring, keys=how(ring.keys)), path)
