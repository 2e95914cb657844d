"""A tenant is told of what happened: signed, small, in order, at least once, whoever commits first (contract 7)."""

from __future__ import annotations

import json
import threading
from collections import Counter
from contextlib import ExitStack
from datetime import timedelta
from typing import Final

import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from shared.config import Settings
from shared.domain.states import OrderEvent, OrderState
from shared.domain.tenant_events import EventKind
from shared.store import moves
from shared.store.deliveries import CLAIMED_FOR
from shared.store.orders import Order
from shared.store.reader import SLICE, Reader
from shared.store.telling import BACK
from tests.support.event_receiver import Receivers
from tests.support.listening import Listener, a_tenant, end, listens, teller, until_heard
from tests.support.own_postgres import own_postgres
from tests.support.psp import until
from workers import runtime
from workers.runtime import Runtime
from workers.telling import Teller

SOON: Final = timedelta(minutes=1)


def test_an_event_is_verified_by_the_official_library_and_says_what_happened(listener: Listener, one: Teller) -> None:
    number = listener.done()

    [heard] = until_heard(one, listener, 1)

    assert heard.verified_by == [0]
    assert heard.id == f"evt_{number.removeprefix('trk_')}_2"
    assert heard.event["type"] == "checkout.done"
    assert heard.event["data"] == {
        "trackingNumber": number,
        "customerUrn": "cu.00.482",
        "offerIdentifier": "of_test",
        "amountMilpieces": 1499,
        "currency": "EUR",
        "status": {"messageCode": "CHECK_OUT_DONE"},
    }
    assert len(json.dumps(heard.event)) < 1_024


def test_each_move_a_tenant_cares_for_is_told_in_the_words_of_the_contract(listener: Listener, one: Teller) -> None:
    order = listener.order(OrderState.PAYING)
    with listener.owner.begin() as conn:
        challenged = moves.advance(
            conn,
            order,
            OrderEvent.SHOPPER_CHALLENGED,
            actor="pay",
            due_in=SOON,
            redirect={"redirectUrl": "https://psp.example/token-in-here"},
        )
        assert challenged is not None
    with listener.owner.begin() as conn:
        assert moves.advance(
            conn, challenged, OrderEvent.PAYMENT_DECLINED, actor="webhook", failure="CARD_DECLINED: stolen_card"
        )

    first, second = until_heard(one, listener, 2)

    assert (first.event["type"], first.event["data"]["status"]) == (
        "checkout.action_required",
        {"messageCode": "CHECK_OUT_3DS_REQUIRED"},
    )
    assert "token-in-here" not in json.dumps(first.event)
    assert (second.event["type"], second.event["data"]["message"]) == ("checkout.failed", "CARD_DECLINED: stolen_card")


def test_a_move_that_commits_after_later_ones_were_read_is_told_all_the_same(listener: Listener, run: Runtime) -> None:
    """Its row is the older one, and the place up to which all was read moves only behind it. No reading goes back here,
    and none lags."""
    slow, fast = listener.order(), listener.order()
    reader = Reader(run.engine, lag=timedelta())
    written, may_commit = threading.Barrier(2, timeout=10), threading.Barrier(2, timeout=10)

    def move_slowly() -> None:
        with listener.owner.begin() as conn:
            end(conn, slow)
            written.wait()
            may_commit.wait()

    mover = threading.Thread(target=move_slowly)
    mover.start()
    written.wait()  # Its row has its time; nobody sees it.
    with listener.owner.begin() as conn:
        end(conn, fast)
    made = [reader.read().made for _ in range(5)]
    place = listener.endpoint().read_to
    may_commit.wait()
    mover.join()
    [(slow_at,)] = listener.sql("SELECT at FROM order_events WHERE tracking_number = :n", n=slow.tracking_number)
    [(fast_at,)] = listener.sql("SELECT at FROM order_events WHERE tracking_number = :n", n=fast.tracking_number)
    late: list[int] = []

    def is_past_both() -> bool:
        late.append(reader.read().made)
        return bool(listener.endpoint().read_to > fast_at)

    until(is_past_both, seconds=15)  # It waits for whatever else writes in this database.

    assert sum(made) == 1
    assert sum(late) == 1
    assert {one.subject for one in listener.log()} == {slow.tracking_number, fast.tracking_number}
    assert place < slow_at < fast_at


def test_whoever_is_far_behind_tells_what_is_fresh_and_all_of_its_order_and_then_the_rest(
    listener: Listener, run: Runtime
) -> None:
    """Upkeep was away for five minutes, and a transaction that writes is still open, so that no place can move."""
    old, lasting = listener.done(), challenge(listener, listener.order(OrderState.PAYING))
    listener.sql(
        "UPDATE order_events SET at = at - interval '150 s' WHERE tenant_id = :tenant",
    )
    listener.sql(
        "UPDATE event_endpoints SET created_at = created_at - interval '1 hour', read_to = read_to - interval '5 min'"
        " WHERE tenant_id = :tenant"
    )
    reader = Reader(run.engine)

    def told() -> list[tuple[str, str]]:
        return [(one.subject, one.kind) for one in reversed(listener.log())]

    with run.engine.connect() as writing:
        writing.execute(text("SELECT pg_current_xact_id()"))
        fail(listener, lasting)
        for _ in range(3):
            reader.read()
        first = told()
        writing.rollback()
    until(lambda: not reader.read().has_more and len(told()) == 3)

    assert sorted(first) == [
        (lasting.tracking_number, "checkout.action_required"),
        (lasting.tracking_number, "checkout.failed"),
    ]
    assert {subject for subject, _ in told()} == {old, lasting.tracking_number}


def test_moves_of_a_clock_that_fell_behind_are_told(listener: Listener, run: Runtime) -> None:
    """As after a failover to a server whose clock is behind: its rows are older than the place that was read up to."""
    reader = Reader(run.engine)
    reader.read()

    move_long_ago(listener)
    assert reader.read().made == 0
    assert sum(reader.read(back=True).made for _ in range(BACK // SLICE)) == 1

    move_long_ago(listener)
    assert Reader(run.engine).read().made == 1, "who begins does not know how far others had come"


def move_long_ago(listener: Listener) -> None:
    """An order ends, ten minutes before now by the clock of its row."""
    number = listener.done()
    listener.sql("UPDATE order_events SET at = at - interval '10 min' WHERE tracking_number = :n", n=number)
    listener.sql("UPDATE event_endpoints SET created_at = created_at - interval '1 hour' WHERE tenant_id = :tenant")


def test_an_endpoint_hears_the_kinds_it_asked_for_from_when_it_was_added(
    run: Runtime, receivers: Receivers, one: Teller
) -> None:
    tenant_id = a_tenant(run.engine)
    early = listens(run.engine, run.keyring, tenant_id, receivers.storefront())
    before = early.done()
    failures = listens(run.engine, run.keyring, tenant_id, receivers.storefront(), EventKind.FAILED)
    late = listens(run.engine, run.keyring, tenant_id, receivers.storefront())
    after = early.done()

    assert {heard.about for heard in until_heard(one, early, 2)} == {before, after}
    assert [heard.about for heard in until_heard(one, late, 1)] == [after]
    assert failures.at.heard == []


def test_what_one_tenant_does_is_told_to_nobody_else(
    run: Runtime, receivers: Receivers, listener: Listener, one: Teller
) -> None:
    other = listens(run.engine, run.keyring, a_tenant(run.engine), receivers.storefront())
    mine, theirs = listener.done(), other.done()

    assert [heard.about for heard in until_heard(one, listener, 1)] == [mine]
    assert [heard.about for heard in until_heard(one, other, 1)] == [theirs]


def test_two_upkeep_processes_tell_the_events_of_an_order_in_order_and_none_at_once(
    listener: Listener, run: Runtime
) -> None:
    """Both find all events of sixty orders, which were challenged and ended while neither ran."""
    for order in [listener.order(OrderState.PAYING) for _ in range(60)]:
        fail(listener, challenge(listener, order))
    with ExitStack() as open_ones:
        tellers = [open_ones.enter_context(teller(run)) for _ in range(2)]
        over = threading.Event()
        threads = [threading.Thread(target=tell_until, args=(each, over)) for each in tellers]
        for thread in threads:
            thread.start()
        until(lambda: len(listener.at.heard) >= 120, seconds=60)
        over.set()
        for thread in threads:
            thread.join(10)

    told: dict[str, list[str]] = {}
    for heard in listener.at.heard:
        told.setdefault(heard.about, []).append(heard.event["type"])
    assert len(told) == 60
    assert set(map(tuple, told.values())) == {("checkout.action_required", "checkout.failed")}


def challenge(listener: Listener, order: Order) -> Order:
    """*order*, its shopper sent to their bank."""
    with listener.owner.begin() as conn:
        moved = moves.advance(conn, order, OrderEvent.SHOPPER_CHALLENGED, actor="pay", due_in=SOON, redirect={})
    assert moved is not None
    return moved


def fail(listener: Listener, order: Order) -> None:
    with listener.owner.begin() as conn:
        assert moves.advance(conn, order, OrderEvent.PAYMENT_DECLINED, actor="webhook", failure="CANCELLED")


def tell_until(one: Teller, over: threading.Event) -> None:
    while not over.is_set():
        one.round(1)


def test_a_restart_of_postgres_loses_no_event(run: Runtime, receivers: Receivers, settings: Settings) -> None:
    """It is cut off while events wait and one is on its way: what was sent and could not be recorded is sent again."""
    with own_postgres() as database:
        own = settings.model_copy(update={"database_url": SecretStr(database.url)})
        other = runtime.build(own)
        listener = listens(other.engine, other.keyring, a_tenant(other.engine), receivers.storefront())
        numbers = [listener.done() for _ in range(20)]
        listener.at.answers(always=0)
        with teller(other) as one:
            one.round(1)
            until(lambda: listener.at.heard)
            database.crash()
            listener.at.answers(always=204)
            with pytest.raises(SQLAlchemyError):
                one.round(1)
            database.start()
            listener.let_pass(CLAIMED_FOR)
            heard = until_heard(one, listener, len(numbers))
        ids = Counter(each.id for each in heard)
        other.doorbell.close()
        other.engine.dispose()

    assert {each.about for each in heard} == set(numbers)
    assert len(ids) == len(numbers)
    assert max(ids.values()) == 2, "what was on its way came twice, under the same id"
