"""What was told is not told again when the log of it is forgotten, and nothing is lost for that (contract 7)."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from shared.domain.states import OrderEvent, OrderState
from shared.domain.tenant_events import EventKind, TenantEvent, body_of
from shared.store import deliveries, endpoints, moves
from shared.store.orders import Order
from shared.store.reader import SLICE, Reader
from shared.store.telling import BACK, tell
from tests.support.event_receiver import Receivers
from tests.support.listening import Listener, a_tenant, listens, until_heard
from tests.support.psp import until
from workers.runtime import Runtime
from workers.telling import Teller

KEPT_DAYS, DELIVERED_DAYS = 31, 7


def challenge(listener: Listener) -> Order:
    """An order whose shopper was sent to their bank."""
    order = listener.order(OrderState.PAYING)
    shopper = OrderEvent.SHOPPER_CHALLENGED
    with listener.owner.begin() as conn:
        moved = moves.advance(conn, order, shopper, actor="pay", due_in=timedelta(minutes=1), redirect={})
    assert moved is not None
    return moved


def fail(listener: Listener, order: Order) -> None:
    with listener.owner.begin() as conn:
        assert moves.advance(conn, order, OrderEvent.PAYMENT_DECLINED, actor="webhook", failure="CANCELLED")


def refund(listener: Listener, number: str) -> None:
    """An operator gave money back."""
    kind = EventKind.REFUNDED
    body = body_of(kind, datetime(2026, 1, 1, tzinfo=UTC), tracking_number=number)
    with listener.owner.begin() as conn:
        tell(conn, TenantEvent(listener.tenant_id, f"evt_{uuid.uuid4().hex}", kind, number, 9, body))


def days_pass(listener: Listener, days: int) -> None:
    """Of what happened and of what was sent; all was read up to now."""
    for table, columns in {
        "order_events": ("at",),
        "event_endpoints": ("created_at",),
        "event_deliveries": ("created_at", "at"),
    }.items():
        moved = ", ".join(f"{column} = {column} - make_interval(days => :days)" for column in columns)
        listener.sql(f"UPDATE {table} SET {moved} WHERE tenant_id = :tenant", days=days)
    with listener.owner.begin() as conn:
        deliveries.forget_old(conn, days=KEPT_DAYS, delivered_days=DELIVERED_DAYS)


def kinds(listener: Listener) -> list[str]:
    return [heard.event["type"] for heard in listener.at.heard]


def test_a_refund_long_after_an_orders_end_tells_of_the_refund_alone(listener: Listener, one: Teller) -> None:
    number = listener.done()
    until_heard(one, listener, 1)
    days_pass(listener, DELIVERED_DAYS + 3)
    assert listener.log() == []

    refund(listener, number)
    until_heard(one, listener, 2)

    assert kinds(listener) == ["checkout.done", "payment.refunded"]


def test_a_refund_tells_an_endpoint_nothing_that_did_not_ask_for_refunds(
    run: Runtime, receivers: Receivers, one: Teller
) -> None:
    listener = listens(run.engine, run.keyring, a_tenant(run.engine), receivers.storefront(), EventKind.DONE)
    number = listener.done()
    until_heard(one, listener, 1)
    days_pass(listener, DELIVERED_DAYS + 3)
    other = listens(run.engine, run.keyring, listener.tenant_id, receivers.storefront(), EventKind.REFUNDED)

    refund(listener, number)
    until_heard(one, other, 1)

    assert listener.log() == []
    assert (kinds(listener), kinds(other)) == (["checkout.done"], ["payment.refunded"])


def test_an_end_long_after_its_challenge_is_told_alone(listener: Listener, one: Teller) -> None:
    """A bank transfer takes days."""
    order = challenge(listener)
    until_heard(one, listener, 1)
    days_pass(listener, DELIVERED_DAYS + 3)

    fail(listener, order)
    until_heard(one, listener, 2)

    assert kinds(listener) == ["checkout.action_required", "checkout.failed"]


@pytest.mark.parametrize("days", [KEPT_DAYS - 1, KEPT_DAYS + 1])
def test_an_endpoint_that_was_paused_hears_what_waited_as_long_as_it_is_kept(
    listener: Listener, one: Teller, days: int
) -> None:
    with listener.owner.begin() as conn:
        endpoints.pause(conn, listener.tenant_id, listener.endpoint_id)
    order = challenge(listener)
    one.read()
    days_pass(listener, days)
    fail(listener, order)
    one.read()
    with listener.owner.begin() as conn:
        endpoints.resume(conn, listener.tenant_id, listener.endpoint_id)
    is_kept = days < KEPT_DAYS
    until_heard(one, listener, 1 + is_kept)

    assert kinds(listener) == ["checkout.action_required"] * is_kept + ["checkout.failed"]


def test_whoever_is_weeks_behind_tells_all_of_an_order_that_moves(listener: Listener, run: Runtime) -> None:
    order = challenge(listener)
    days_pass(listener, 20)
    listener.sql("UPDATE event_endpoints SET read_to = created_at WHERE tenant_id = :tenant")
    fail(listener, order)
    Reader(run.engine).read()
    told = [one.kind for one in reversed(listener.log())]
    listener.sql("UPDATE event_endpoints SET read_to = now() WHERE tenant_id = :tenant")

    assert sorted(told) == ["checkout.action_required", "checkout.failed"]


def test_an_endpoint_that_is_added_while_others_are_behind_hears_what_came_later(
    run: Runtime, receivers: Receivers, listener: Listener, one: Teller
) -> None:
    order = challenge(listener)
    listener.sql("UPDATE order_events SET at = at - interval '3 min' WHERE tenant_id = :tenant")
    listener.sql(
        "UPDATE event_endpoints SET created_at = created_at - interval '1 hour', read_to = read_to - interval '5 min'"
        " WHERE tenant_id = :tenant"
    )
    late = listens(run.engine, run.keyring, listener.tenant_id, receivers.storefront())

    fail(listener, order)
    until_heard(one, listener, 2)
    until_heard(one, late, 1)

    assert (kinds(listener), kinds(late)) == (["checkout.action_required", "checkout.failed"], ["checkout.failed"])


def test_what_lies_as_far_back_as_is_read_is_told_though_the_place_moves_on(listener: Listener, run: Runtime) -> None:
    """The reading that finds it is the one that moves: behind the place it leaves, the row would lie too far back."""
    listener.sql(
        "UPDATE event_endpoints SET created_at = created_at - interval '1 hour', read_to = now() - interval '40 s'"
        " WHERE tenant_id = :tenant"
    )
    place = listener.endpoint().read_to
    reader = Reader(run.engine, lag=timedelta())
    with run.engine.connect() as writing:
        writing.execute(text("SELECT pg_current_xact_id()"))  # While it runs the place stays.
        for _ in range(BACK // SLICE):
            assert reader.read(back=True).made == 0
        number = listener.done()
        at = place - BACK + timedelta(seconds=10)
        listener.sql("UPDATE order_events SET at = :at WHERE tracking_number = :n", at=at, n=number)
    all_that_ran_has_ended(listener)
    assert listener.endpoint().read_to == place

    made = reader.read(back=True).made

    assert listener.endpoint().read_to > at + BACK
    assert made == 1


def all_that_ran_has_ended(listener: Listener) -> None:
    [(last,)] = listener.sql("SELECT pg_current_xact_id()::text::bigint")
    horizon = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
    until(lambda: listener.sql(horizon)[0][0] > last)
