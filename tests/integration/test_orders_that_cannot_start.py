"""An order whose payment cannot even be started is tried ever more slowly, for a day, and then it ends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta

import pytest

from shared.domain.states import OrderState
from shared.keyring import CannotOpen
from tests.support.engine_room import EngineRoom
from tests.support.wire import channel
from workers.pay import pay

PATIENCE = timedelta(hours=24)


def admitted_ago(room: EngineRoom, number: str, ago: timedelta) -> None:
    room.sql(
        "UPDATE orders SET admitted_at = now() - cast(:ago AS interval) WHERE tracking_number = :n", ago=ago, n=number
    )


@pytest.fixture
def keyless(room: EngineRoom) -> Iterator[EngineRoom]:
    """A room whose PSP accounts were sealed by a key that it does not have."""
    tenant = room.seller.shop.tenant_id
    [(credentials,)] = room.sql("SELECT credentials FROM psp_accounts WHERE tenant_id = :t", t=tenant)
    room.sql("UPDATE psp_accounts SET credentials = 'sealed by another' WHERE tenant_id = :t", t=tenant)
    yield room
    room.sql("UPDATE psp_accounts SET credentials = :c WHERE tenant_id = :t", c=credentials, t=tenant)


@pytest.mark.parametrize(("age_s", "pause_s"), [(0, 5), (19, 5), (100, 25), (3_600, 60)])
def test_a_psp_that_takes_no_request_is_asked_ever_more_slowly(room: EngineRoom, age_s: int, pause_s: int) -> None:
    number = room.locked(channel("SEPA"))
    began = time.monotonic()
    admitted_ago(room, number, timedelta(seconds=age_s))

    with room.unreachable():
        least, most = room.pause_after(pay, number)
    older = time.monotonic() - began  # By so much at most; its pause is a quarter of its age.

    assert room.state(number) is OrderState.OFFER_LOCKED
    assert least - older <= pause_s + 1.0
    assert most >= pause_s - 1.0


def test_after_a_day_without_a_request_that_was_taken_an_order_is_cancelled(room: EngineRoom) -> None:
    number = room.locked(channel("SEPA"))
    with room.unreachable():
        pay(room.run, number)
        admitted_ago(room, number, PATIENCE - timedelta(minutes=1))
        room.comes_up(number)
        pay(room.run, number)
        assert room.state(number) is OrderState.OFFER_LOCKED

        admitted_ago(room, number, PATIENCE)
        room.comes_up(number)
        pay(room.run, number)

    assert (room.state(number), room.order(number).failure) == (OrderState.FAILED, "CANCELLED")
    assert room.events(number)[-1] == "cancelled"
    assert not room.sql("SELECT 1 FROM offer_holds WHERE tracking_number = :n", n=number)


def test_an_order_that_cannot_even_be_planned_ends_as_well(keyless: EngineRoom) -> None:
    number = keyless.locked(channel("SEPA"))
    with pytest.raises(CannotOpen):
        pay(keyless.run, number)

    admitted_ago(keyless, number, PATIENCE)
    pay(keyless.run, number)

    assert (keyless.state(number), keyless.order(number).failure) == (OrderState.FAILED, "CANCELLED")


def test_an_order_with_a_request_out_is_never_cancelled_for_its_age(room: EngineRoom) -> None:
    number = room.locked()
    room.dies_while_charging(number, after_the_charge=True)
    admitted_ago(room, number, 2 * PATIENCE)
    room.until_lease_ended(number)

    assert pay(room.run, number)
