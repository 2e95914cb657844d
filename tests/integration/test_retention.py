"""Old months go as a whole, with all that was of their orders, and never while something in them is not at its end."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import psycopg
import pytest
from pydantic import ValidationError
from sqlalchemy import Column, Engine, func, insert, select, text, update

from shared.config import Settings
from shared.domain.states import OrderState
from shared.ids import first_number_at
from shared.store import attempts, months, sweeps
from shared.store import offers as offer_store
from shared.store.engine import create_engine, statements
from shared.store.orders import Order
from shared.store.row_security import Role
from shared.store.tables import (
    idempotency_keys,
    offer_holds,
    offers,
    operator_actions,
    order_events,
    orders,
    payment_attempts,
    psp_events,
    refunds,
)
from tests.support.attempt_rows import first_attempt, write_ahead
from tests.support.catalogue import an_offer
from tests.support.order_rows import an_order
from tests.support.told import told_of
from workers.keeper import Keeper
from workers.runtime import build

KEPT: Final = 18
OLD: Final = datetime(2021, 3, 9, 12, tzinfo=UTC)
OLD_MONTH: Final = "orders_2021_03"
EMPTIED: Final = (
    orders,
    order_events,
    payment_attempts,
    psp_events,
    idempotency_keys,
    refunds,
    offers,
    offer_holds,
    operator_actions,
)
DONE_THEN: Final = {"state": "done", "due_at": None, "amount_minor": 1499, "currency": "EUR"}


@pytest.fixture
def room(settings: Settings) -> Iterator[Engine]:
    """The engine room's own way to the database: it owns nothing there."""
    made = create_engine(settings, role=Role.ENGINE_ROOM)
    yield made
    made.dispose()


@pytest.fixture(autouse=True)
def _months(engine: Engine) -> None:
    """An installation that is some years old."""
    with statements(engine) as conn:
        conn.execute(text(f"TRUNCATE {', '.join(table.name for table in EMPTIED)}"))
        names = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname ~ '^(orders|order_events)_(before|2021)'"
        for name in conn.execute(text(names)).scalars().all():
            conn.execute(text(f"DROP TABLE {name}"))
        for month in ("2021-02-01", "2021-03-01"):
            conn.execute(text("SELECT c2a_add_month(:month, 0)"), {"month": datetime.fromisoformat(month).date()})
    months.make(engine)


def ended(engine: Engine, moment: datetime = OLD, *, outcome: str = "captured") -> Order:
    """An order that was done at *moment*, with its event and its attempt."""
    number = first_number_at(moment)
    order = an_order(engine, OrderState.DONE, tracking_number=number, admitted_at=moment, finished_at=moment)
    with engine.begin() as conn:
        values = {"tenant_id": order.tenant_id, "tracking_number": number, "version": 1, "at": moment}
        conn.execute(insert(order_events).values(**values, event="admitted", state="admitted", actor="api"))
        write_ahead(conn, replace(first_attempt(order), psp_key=str(uuid.uuid4())))
        mine = payment_attempts.c.tracking_number == number
        conn.execute(update(payment_attempts).where(mine).values(outcome=outcome, settled_at=moment))
    return order


def names(engine: Engine) -> set[str]:
    """The tables there are of 2021."""
    with statements(engine) as conn:
        return set(conn.execute(text("SELECT relname FROM pg_class WHERE relname ~ '_2021_\\d\\d$'")).scalars())


def left(engine: Engine, table: str = "payment_attempts") -> int:
    with statements(engine) as conn:
        return int(conn.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())


def test_a_month_that_ended_long_ago_goes_as_a_whole_and_its_attempts_after_it(engine: Engine, room: Engine) -> None:
    young = ended(engine, datetime.now(UTC))
    ended(engine)
    sweep = sweeps.of_attempts()
    assert sweep.look(room, KEPT) == 0, "its order is there"
    with told_of("months") as told:
        assert months.drop_old(room, months=KEPT) == ["orders_2021_02", OLD_MONTH]
    assert [line["event"] for line in told] == ["months.dropped"] * 2
    assert names(engine) == set()
    assert sum(sweep.look(room, KEPT) for _ in range(2)) == 1
    assert left(engine) == left(engine, "orders") == left(engine, "order_events") == 1
    with statements(engine) as conn:
        assert [one.tracking_number for one in attempts.of_order(conn, young.tenant_id, young.tracking_number)]
    assert months.drop_old(room, months=KEPT) == []


def not_finished(engine: Engine, order: Order) -> str:
    with engine.begin() as conn:
        live = {"state": "confirming", "finished_at": None, "due_at": OLD}
        conn.execute(update(orders).where(orders.c.tracking_number == order.tracking_number).values(**live))
    return "an order is not finished"


def money_out(engine: Engine, order: Order, outcome: str = "returning") -> str:
    with engine.begin() as conn:
        mine = payment_attempts.c.tracking_number == order.tracking_number
        conn.execute(update(payment_attempts).where(mine).values(outcome=outcome))
    return "money of an order is out"


def verdict_out(engine: Engine, order: Order) -> str:
    return money_out(engine, order, "pending")


def being_refunded(engine: Engine, order: Order) -> str:
    values = {"tenant_id": order.tenant_id, "tracking_number": order.tracking_number, "attempt_no": 1}
    with engine.begin() as conn:
        asked = insert(refunds).values(**values, action_id=uuid.uuid4(), amount_minor=1, currency="EUR", due_at=OLD)
        conn.execute(asked)
    return "an order is being refunded"


def moved_since(engine: Engine, order: Order) -> str:
    """Its number says 2021, but that was the clock of whoever admitted it: it is of today."""
    with engine.begin() as conn:
        mine = order_events.c.tracking_number == order.tracking_number
        conn.execute(update(order_events).where(mine).values(at=datetime.now(UTC) - timedelta(days=1)))
    return "an order moved since"


@pytest.mark.parametrize("how", [not_finished, money_out, verdict_out, being_refunded, moved_since])
def test_a_month_is_kept_back_for_the_sake_of_one_order_and_the_log_says_whose(
    engine: Engine, room: Engine, how: Any
) -> None:
    ended(engine, OLD + timedelta(days=1))
    order = ended(engine)
    why = how(engine, order)
    with told_of("months") as told:
        assert months.drop_old(room, months=KEPT) == ["orders_2021_02"]
    [kept] = [line for line in told if line["event"] == "months.kept_back"]
    assert (kept["log_level"], kept["partition"], kept["why"]) == ("warning", OLD_MONTH, why)
    assert kept["tracking_number"] == order.tracking_number
    assert names(engine) == {OLD_MONTH, OLD_MONTH.replace("orders", "order_events")}
    assert (left(engine, "orders"), left(engine, "order_events")) == (2, 2)
    sweep = sweeps.of_attempts()
    assert [sweep.look(room, KEPT) for _ in range(2)] == [0, 0]


@pytest.mark.parametrize("partition", ["orders_default", "orders_2021_04", "orders", "payment_attempts", "this_month"])
def test_nothing_but_an_old_month_can_be_dropped(engine: Engine, room: Engine, partition: str) -> None:
    order = ended(engine, datetime.now(UTC))
    name = f"orders_{datetime.now(UTC):%Y_%m}" if partition == "this_month" else partition
    for kept_months in (1, 0, -100):
        with statements(room) as conn:
            row = conn.execute(text("SELECT * FROM c2a_drop_month(:n, :m)"), {"n": name, "m": kept_months}).one()
        assert tuple(row) == ("it is not so old", name)
    assert left(engine, "orders") == 1
    assert months.drop_old(room, months=1200) == []
    assert order


def test_a_backup_that_reads_is_waited_for_half_a_second_and_nothing_is_dropped(
    settings: Settings, engine: Engine, room: Engine
) -> None:
    ended(engine)
    with psycopg.connect(settings.database_url.get_secret_value()) as reader:
        reader.execute("SELECT FROM orders LIMIT 1")
        with told_of("months") as told:
            assert months.drop_old(room, months=KEPT) == []
        reader.rollback()
    assert {line["event"] for line in told} == {"months.wait"}
    assert months.drop_old(room, months=KEPT) == ["orders_2021_02", OLD_MONTH]


@pytest.mark.parametrize("outcome", ["open", "challenged", "pending", "returning"])
def test_an_attempt_whose_money_is_out_stays_though_its_order_is_gone(
    engine: Engine, room: Engine, outcome: str
) -> None:
    ended(engine)
    months.drop_old(room, months=KEPT)
    with engine.begin() as conn:
        conn.execute(update(payment_attempts).values(outcome=outcome))
    sweep = sweeps.of_attempts()
    assert [sweep.look(room, KEPT) for _ in range(2)] == [0, 0]
    assert left(engine) == 1


def test_an_event_of_a_psp_goes_when_its_effect_is_old_and_stays_while_it_is_parked(
    engine: Engine, room: Engine
) -> None:
    now = datetime.now(UTC)
    ages = {"old": now - timedelta(days=91), "young": now - timedelta(days=89), "parked": None}
    with engine.begin() as conn:
        for event_id, settled_at in ages.items():
            values = {"tenant_id": uuid.uuid4(), "provider": "sandbox", "event_id": event_id, "kind": "captured"}
            conn.execute(insert(psp_events).values(**values, received_at=OLD, settled_at=settled_at))
    sweep = sweeps.of_psp_events()
    assert sum(sweep.look(room, 90) for _ in range(2)) == 1
    assert names_of(engine, psp_events.c.event_id) == {"young", "parked"}


def test_a_refund_goes_after_its_order_once_its_psp_had_its_say(engine: Engine, room: Engine) -> None:
    order = ended(engine)
    being_refunded(engine, order)
    with engine.begin() as conn:
        conn.execute(update(refunds).values(state="given", due_at=None, settled_at=OLD))
    sweep = sweeps.of_refunds()
    assert [sweep.look(room, KEPT) for _ in range(2)] == [0, 0], "its order is there"
    months.drop_old(room, months=KEPT)
    assert sum(sweep.look(room, KEPT) for _ in range(2)) == 1


def an_old_offer(engine: Engine, tenant_id: uuid.UUID, name: str, *, ended_ago: timedelta) -> None:
    """An offer of that name that ended so long ago (by the database's clock)."""
    with engine.begin() as conn:
        offer_store.keep_imported(conn, tenant_id, [an_offer(offer_identifier=name)])
        conn.execute(update(offers).where(offers.c.offer_identifier == name).values(expires_at=func.now() - ended_ago))


def names_of(engine: Engine, column: Column[str]) -> set[str]:
    with statements(engine) as conn:
        return set(conn.execute(select(column)).scalars())


def test_an_offer_goes_when_it_ended_long_ago_and_stays_while_an_order_of_it_is_live(
    engine: Engine, room: Engine
) -> None:
    tenant_id, long_ago = uuid.uuid4(), timedelta(days=32)
    for name in ("old", "ordered", "done"):
        an_old_offer(engine, tenant_id, name, ended_ago=long_ago)
    an_old_offer(engine, tenant_id, "young", ended_ago=timedelta(days=30))
    then = datetime.now(UTC) - long_ago
    live = an_order(engine, OrderState.ADMITTED, tenant_id=tenant_id, offer_identifier="ordered", admitted_at=then)
    an_order(engine, OrderState.DONE, tenant_id=tenant_id, offer_identifier="done", admitted_at=then)
    an_order(engine, OrderState.ADMITTED, offer_identifier="old", admitted_at=then)  # Another tenant's offer.
    sweep = sweeps.of_offers()
    assert sum(sweep.look(room, 31) for _ in range(2)) == 2
    assert names_of(engine, offers.c.offer_identifier) == {"young", "ordered"}
    with engine.begin() as conn:
        ends = {"state": "failed", "failure": "OFFER_EXPIRED", "due_at": None, "finished_at": func.now()}
        conn.execute(update(orders).where(orders.c.tracking_number == live.tracking_number).values(**ends))
    assert sum(sweep.look(room, 31) for _ in range(2)) == 1
    assert names_of(engine, offers.c.offer_identifier) == {"young"}


def test_live_orders_are_looked_up_once_however_many_offers_are_old(room: Engine) -> None:
    asked = {"begins": "(0,0)", "ends": "(2,0)", "kept": 1}
    with room.begin() as conn:
        conn.execute(text("SET LOCAL enable_seqscan = off"))  # As if the tables were large.
        plan = "\n".join(conn.execute(text(f"EXPLAIN {sweeps.of_offers().statement.text}"), asked).scalars())
    assert plan.count("CTE live") == 1
    assert "Seq Scan on orders" not in plan


def held(engine: Engine, order: Order, offer_identifier: str) -> None:
    values = {"tenant_id": order.tenant_id, "tracking_number": order.tracking_number}
    with engine.begin() as conn:
        conn.execute(insert(offer_holds).values(**values, offer_identifier=offer_identifier))


def test_a_hold_goes_after_its_order_and_stays_while_its_offer_could_be_ordered_again(
    engine: Engine, room: Engine
) -> None:
    order, young = ended(engine), ended(engine, datetime.now(UTC))
    an_old_offer(engine, order.tenant_id, "ended", ended_ago=timedelta(days=1))
    an_old_offer(engine, order.tenant_id, "goes on", ended_ago=-timedelta(days=1))
    for holder, name in ((order, "ended"), (order, "gone"), (order, "goes on"), (young, "of a young order")):
        held(engine, holder, name)
    sweep = sweeps.of_holds()
    assert [sweep.look(room, KEPT) for _ in range(2)] == [0, 0], "its order is there"
    months.drop_old(room, months=KEPT)
    assert sum(sweep.look(room, KEPT) for _ in range(2)) == 2
    assert names_of(engine, offer_holds.c.offer_identifier) == {"goes on", "of a young order"}


def did(engine: Engine, order: Order | None, at: datetime, tenant_id: uuid.UUID | None = None) -> None:
    """An operator did something at that time to *order*, or to a webhook that leads to none."""
    on = {"tenant_id": order.tenant_id if order else tenant_id, "tracking_number": order and order.tracking_number}
    said = {"action": "retry", "who": "operator", "why": "shopper called", "outcome": "done", "told": "It is rung for."}
    with engine.begin() as conn:
        conn.execute(insert(operator_actions).values(**on, **said, action_id=uuid.uuid4(), at=at))


def test_what_operators_did_goes_after_its_order_and_what_was_done_to_none_when_it_is_as_old(
    engine: Engine, room: Engine
) -> None:
    now = datetime.now(UTC)
    old, young = ended(engine), ended(engine, now)
    did(engine, old, OLD)
    did(engine, young, now)
    sweep = sweeps.of_actions()
    assert [sweep.look(room, KEPT) for _ in range(2)] == [0, 0], "its order is there"
    for at in (OLD, now):
        did(engine, None, at, tenant_id=old.tenant_id)
    assert sum(sweep.look(room, KEPT) for _ in range(2)) == 1
    months.drop_old(room, months=KEPT)
    assert sum(sweep.look(room, KEPT) for _ in range(2)) == 1
    with statements(engine) as conn:
        assert set(conn.execute(select(operator_actions.c.tracking_number)).scalars()) == {young.tracking_number, None}


def test_the_keeper_does_all_of_it_and_nothing_where_all_is_kept_for_ever(settings: Settings, engine: Engine) -> None:
    did(engine, ended(engine), OLD)
    for_ever = settings.model_copy(update={"orders_kept_months": 0, "psp_events_kept_days": 0, "offers_kept_days": 0})
    run = build(settings)
    Keeper(for_ever).look(run, 0)
    assert OLD_MONTH in names(engine)
    keeper = Keeper(settings)
    keeper.look(run, 1)
    assert OLD_MONTH in names(engine), "once an hour is often enough"
    for number in (0, 1):
        keeper.look(run, number)
    run.doorbell.close()
    run.engine.dispose()
    assert names(engine) == set()
    assert left(engine) == left(engine, "operator_actions") == 0


@pytest.mark.parametrize(
    "asked",
    [
        {"C2A_ORDERS_KEPT_MONTHS": "1"},
        {"C2A_KEYS_KEPT_DAYS": "30"},
        {"C2A_PSP_EVENTS_KEPT_DAYS": "-1"},
        {"C2A_OFFERS_KEPT_DAYS": "-1"},
        {"C2A_DELIVERIES_KEPT_DAYS": "1", "C2A_DELIVERED_KEPT_DAYS": "1"},
        {"C2A_DELIVERIES_KEPT_DAYS": "6"},
        {"C2A_DELIVERED_KEPT_DAYS": "0"},
    ],
)
def test_no_setting_lets_an_order_go_before_its_key_or_an_event_while_it_is_tried(
    monkeypatch: pytest.MonkeyPatch, asked: dict[str, str]
) -> None:
    for name, value in asked.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError):
        Settings()
