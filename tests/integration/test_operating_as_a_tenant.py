"""The same actions serve whoever acts for one tenant alone, as the front door does: its own orders, and no other's."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine

from shared.config import Settings
from shared.operate import actions, news, queues, story
from shared.operate.actions import Desk, NoSuchOrder
from shared.operate.asking import Asked
from shared.operate.document import of_story, of_told
from shared.operate.news import NoSuchEvent
from shared.operate.proving import Proof, Verdict, prove
from shared.operate.search import search
from shared.psp.port import EventKind, PspEvent
from shared.store import inbox, inbox_search
from shared.store.engine import create_engine
from shared.store.inbox import EventName
from shared.store.operator_actions import Acted, Outcome
from shared.store.order_search import Wanted
from shared.store.row_security import Role
from shared.store.tenancy import acting_for
from tests.support.engine_room import EngineRoom, captured
from tests.support.operating import a_desk
from tests.support.psp import Sandbox
from workers.pay import pay
from workers.return_money import return_money
from workers.tokenize import tokenize


@pytest.fixture
def front_door(settings: Settings) -> Iterator[Engine]:
    """The API's way to the database."""
    made = create_engine(settings, role=Role.API)
    yield made
    made.dispose()


@pytest.fixture
def desk(room: EngineRoom, front_door: Engine) -> Desk:
    """A desk of the front door."""
    return replace(a_desk(room), engine=front_door)


def asked() -> Asked:
    return Asked("Ana", "from the console", uuid.uuid4())


def done(room: EngineRoom) -> str:
    number = room.locked()
    assert pay(room.run, number)
    tokenize(room.run, number)
    return number


def test_a_tenant_searches_and_reads_its_own_orders(room: EngineRoom, front_door: Engine, desk: Desk) -> None:
    number, mine = done(room), room.seller.shop.tenant_id
    reference = room.attempt(number).psp_reference
    wanted = [Wanted(tracking_number=number), Wanted(psp_reference=reference), Wanted(customer_urn="cu.00.482")]
    for whose, sees in ((mine, True), (uuid.uuid4(), False)):
        with acting_for(whose), front_door.begin() as conn:
            for one in (*wanted, Wanted(tenant_id=whose, since=datetime(2024, 1, 1, tzinfo=UTC))):
                found = search(conn, one, now=datetime.now(UTC))
                assert (number in [order.tracking_number for order in found.orders]) is sees
            order = story.find(conn, number, tenant_id=whose)
            assert (order is not None) is sees
            if order is not None:
                told = story.read(conn, order, desk.keyring)
                assert of_story(told)["state"] == "done"
                assert "prove" in {one["action"] for one in of_told(told)["allowed"]}


def test_a_tenant_acts_on_its_own_orders(room: EngineRoom, desk: Desk, shared_psp: Sandbox) -> None:
    mine, cancelled, refunded = room.seller.shop.tenant_id, room.locked(), done(room)
    with acting_for(mine):
        assert actions.retry(desk, mine, cancelled, asked()).outcome is Outcome.DONE
        assert actions.unpark(desk, mine, cancelled, asked()).outcome is Outcome.REFUSED
        assert actions.cancel(desk, mine, cancelled, asked()).outcome is Outcome.DONE
        assert actions.refund(desk, mine, refunded, asked(), 500).outcome is Outcome.BEGUN
        assert prove(desk, mine, refunded, asked(), Proof(Verdict.RETURNED)).outcome is Outcome.REFUSED
    return_money(room.run, refunded)
    [row] = [one for one in shared_psp.charges(room.account) if one["merchantReference"] == refunded]
    assert row["refundedMinor"] == 500
    paid = room.locked()
    assert pay(room.run, paid)
    with acting_for(mine):
        assert actions.cancel(desk, mine, paid, asked()).outcome is Outcome.BEGUN


def test_a_tenant_has_its_own_webhooks_settled(room: EngineRoom, desk: Desk, shared_psp: Sandbox) -> None:
    mine, number = room.seller.shop.tenant_id, room.locked()
    shared_psp.set_faults(next=[{"kind": "http500After", "on": "charge"}])
    pay(room.run, number)
    attempt = room.attempt(number)
    [row] = [one for one in shared_psp.charges(room.account) if one["merchantReference"] == number]
    event = PspEvent(f"evt_{number}", EventKind.CHARGE, None, attempt.psp_key, captured(attempt, row["pspReference"]))
    with room.run.engine.begin() as conn:
        inbox.keep(conn, room.run.keyring, mine, "sandbox", event)
    name = EventName(mine, "sandbox", event.event_id)
    with acting_for(uuid.uuid4()), pytest.raises(NoSuchEvent):
        news.replay(desk, name, asked())
    with acting_for(mine):
        with desk.engine.begin() as conn:
            assert event.event_id in [one.event_id for one in inbox_search.parked(conn, tenant_id=mine, limit=200)]
        assert news.replay(desk, name, asked()).outcome is Outcome.DONE


@pytest.mark.parametrize(
    "act",
    [
        actions.retry,
        actions.unpark,
        actions.cancel,
        lambda desk, tenant, number, by: actions.refund(desk, tenant, number, by, 1),
        lambda desk, tenant, number, by: prove(desk, tenant, number, by, Proof(Verdict.NONE)),
    ],
    ids=["retry", "unpark", "cancel", "refund", "prove"],
)
def test_another_tenants_order_is_as_unknown_as_none(
    room: EngineRoom, desk: Desk, act: Callable[[Desk, uuid.UUID, str, Asked], Acted]
) -> None:
    number, other = done(room), uuid.uuid4()
    for named in (other, room.seller.shop.tenant_id):  # Also where it is named by its own tenant.
        with acting_for(other), pytest.raises(NoSuchOrder):
            act(desk, named, number, asked())
    assert room.sql("SELECT count(*) FROM operator_actions WHERE tracking_number = :n", n=number) == [(0,)]


def test_a_tenant_sees_its_own_work_alone(room: EngineRoom, front_door: Engine) -> None:
    room.locked()
    for whose, some in ((room.seller.shop.tenant_id, True), (uuid.uuid4(), False)):
        with acting_for(whose), front_door.begin() as conn:
            found = queues.look(conn, room.run.depths)
        assert any(kind.rows.waiting for kind in found.kinds) is some
