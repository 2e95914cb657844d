"""A correlationId is free again after 31 days; the order that then comes under it is paid under a key of its own."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.domain.states import OrderState
from shared.ids import psp_key
from shared.store import housekeeping
from shared.store.engine import statements
from tests.support.engine_room import EngineRoom
from tests.support.psp import Sandbox
from tests.support.storefront import new_correlation
from tests.support.wire import Document, fresh_card
from workers.look_up import look_up
from workers.pay import pay
from workers.tokenize import tokenize

ANSWER_LOST = "4000007700000141"


@pytest.fixture
def reference(room: EngineRoom) -> str:
    """A correlationId under which an order was done so long ago that the key is forgotten."""
    reference = new_correlation()
    done = room.locked(correlationId=reference)
    assert pay(room.run, done)
    tokenize(room.run, done)
    assert room.state(done) is OrderState.DONE
    room.sql("UPDATE idempotency_keys SET created_at = now() - interval '32 days' WHERE key = :k", k=reference)
    with statements(room.run.engine) as conn:
        housekeeping.forget_old_keys(conn, days=31)
    return reference


def charges(psp: Sandbox, room: EngineRoom, reference: str) -> list[Document]:
    return [row for row in psp.charges(room.account) if row["merchantReference"] == reference]


def test_an_order_under_a_reference_used_before_is_charged_once_and_for_itself(
    room: EngineRoom, shared_psp: Sandbox, reference: str
) -> None:
    number = room.locked(correlationId=reference)

    assert pay(room.run, number)

    tenant = room.seller.shop.tenant_id
    own_key = psp_key(room.run.keyring, tenant, number, 1)
    assert room.attempt(number).psp_key == own_key
    [_, charge] = charges(shared_psp, room, reference)
    assert (charge["idempotencyKey"], charge["state"], charge["amountMinor"]) == (own_key, "captured", 1499)


@pytest.mark.parametrize("after_the_charge", [False, True], ids=["before the call", "after the charge"])
def test_its_payment_is_resumed_under_that_key(
    room: EngineRoom, shared_psp: Sandbox, reference: str, after_the_charge: bool
) -> None:
    number = room.locked(correlationId=reference)
    room.dies_while_charging(number, after_the_charge=after_the_charge)
    room.until_lease_ended(number)

    assert pay(room.run, number)

    assert len(charges(shared_psp, room, reference)) == 2


def test_a_look_up_tells_its_charge_from_the_one_before(room: EngineRoom, shared_psp: Sandbox, reference: str) -> None:
    number = room.locked(fresh_card(ANSWER_LOST), correlationId=reference)
    assert not pay(room.run, number)
    assert room.state(number) is OrderState.CONFIRMING

    look_up(room.run, number)

    assert room.state(number) is OrderState.CAPTURED
    [_, charge] = charges(shared_psp, room, reference)
    assert room.attempt(number).psp_reference == charge["pspReference"]


def test_of_its_charge_nothing_is_proven_by_the_one_before(
    room: EngineRoom, shared_psp: Sandbox, reference: str
) -> None:
    """The connection dropped and nothing was written: the PSP has a capture of this reference, and it is another's."""
    number = room.locked(fresh_card("4000007700000133"), correlationId=reference)
    assert not pay(room.run, number)
    room.sql(
        "UPDATE payment_attempts SET asked_at = asked_at - cast(:by AS interval) WHERE tracking_number = :n",
        by=timedelta(seconds=61),
        n=number,
    )

    look_up(room.run, number)
    assert room.state(number) is OrderState.OFFER_LOCKED

    assert pay(room.run, number), "made again, under the same key"
    assert len(charges(shared_psp, room, reference)) == 2
