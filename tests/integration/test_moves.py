"""One statement moves orders, and whoever comes second changes nothing and is told so."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from sqlalchemy import Connection, Engine, insert, select

from shared.domain.states import IllegalMove, OrderEvent, OrderState
from shared.store import leases, moves
from shared.store.leases import LeaseTerms
from shared.store.orders import Order
from shared.store.tables import offer_holds, order_events
from tests.support.attempt_rows import first_attempt
from tests.support.order_rows import again, an_order

SOON = timedelta(seconds=10)
TERMS = LeaseTerms(timedelta(seconds=6), timedelta(seconds=30))
GONE = LeaseTerms(timedelta(seconds=-1), timedelta(seconds=30))


def test_of_two_workers_who_read_the_same_order_only_one_may_move_it(engine: Engine) -> None:
    order = an_order(engine, OrderState.CAPTURED)  # Both hold this value; for the second it is stale.
    with engine.begin() as conn:
        first = moves.advance(conn, order, OrderEvent.METHOD_STORED, actor="tokenize")
    with engine.begin() as conn:
        second = moves.advance(conn, order, OrderEvent.STORING_SKIPPED, actor="tokenize")
    assert first is not None
    assert second is None


def claim(conn: Connection, order: Order, owner: str, terms: LeaseTerms) -> Order | None:
    """*order*, claimed by *owner* for its first attempt."""
    return leases.claim(conn, order, first_attempt(order), owner=owner, terms=terms)


def test_a_move_and_its_event_are_one_statement(engine: Engine) -> None:
    order = an_order(engine, OrderState.CAPTURED)
    with engine.begin() as conn:
        moved = moves.advance(conn, order, OrderEvent.METHOD_STORED, actor="tokenize", attempt_no=1)
        told = conn.execute(select(order_events).where(order_events.c.tracking_number == order.tracking_number)).one()
    assert moved is not None
    assert (moved.version, told.version) == (2, 2)
    assert (told.event, told.state, told.actor, told.attempt_no) == ("method_stored", "done", "tokenize", 1)


def test_a_lost_race_leaves_no_event(engine: Engine) -> None:
    order = an_order(engine, OrderState.CAPTURED)
    for _ in range(2):
        with engine.begin() as conn:
            moves.advance(conn, order, OrderEvent.METHOD_STORED, actor="tokenize")
    with engine.begin() as conn:
        told = conn.execute(select(order_events).where(order_events.c.tracking_number == order.tracking_number)).all()
    assert len(told) == 1


def test_a_move_outside_the_table_never_reaches_the_database(engine: Engine) -> None:
    order = an_order(engine, OrderState.DONE)
    with pytest.raises(IllegalMove), engine.begin() as conn:
        moves.advance(conn, order, OrderEvent.PAYMENT_CAPTURED, actor="pay")


def test_a_failed_order_gives_its_offer_back_and_nobody_elses(engine: Engine) -> None:
    order = an_order(engine, OrderState.OFFER_LOCKED, offer_identifier="of_mine")
    too_late = an_order(engine, OrderState.ADMITTED, offer_identifier="of_other", tenant_id=order.tenant_id)
    with engine.begin() as conn:
        for offer, holder in (("of_mine", order.tracking_number), ("of_other", "trk_other")):
            row = {"tenant_id": order.tenant_id, "offer_identifier": offer, "tracking_number": holder}
            conn.execute(insert(offer_holds).values(row))
    with engine.begin() as conn:
        for failing in (order, too_late):
            assert moves.advance(conn, failing, OrderEvent.CANCELLED, actor="operator", failure="CANCELLED")
        left = conn.scalars(select(offer_holds.c.offer_identifier).where(offer_holds.c.tenant_id == order.tenant_id))
        assert left.all() == ["of_other"]


def test_a_claim_raises_the_fence_and_a_live_lease_is_not_taken(engine: Engine) -> None:
    order = an_order(engine, OrderState.OFFER_LOCKED)
    with engine.begin() as conn:
        mine = claim(conn, order, "me", TERMS)
    assert mine is not None
    assert (mine.fence, mine.is_leased) == (order.fence + 1, True)
    with engine.begin() as conn:
        assert claim(conn, again(engine, order.tracking_number), "you", TERMS) is None


def test_a_lease_that_ended_is_taken_over_once_and_counts_as_a_crash(engine: Engine) -> None:
    order = an_order(engine, OrderState.OFFER_LOCKED)
    with engine.begin() as conn:
        dead = claim(conn, order, "dead", GONE)
    assert dead is not None
    seen = again(engine, order.tracking_number)
    with engine.begin() as conn:
        heir = claim(conn, seen, "heir", TERMS)
        late = claim(conn, seen, "late", TERMS)
    assert heir is not None
    assert (heir.crashes, heir.fence) == (1, dead.fence + 1)
    assert late is None


def test_a_worker_that_lost_its_lease_cannot_move_the_order(engine: Engine) -> None:
    order = an_order(engine, OrderState.OFFER_LOCKED)
    with engine.begin() as conn:
        stopped = claim(conn, order, "stopped", GONE)
    assert stopped is not None
    with engine.begin() as conn:
        heir = claim(conn, again(engine, order.tracking_number), "heir", TERMS)
    assert heir is not None
    with engine.begin() as conn:
        moved = moves.advance(conn, stopped, OrderEvent.PAYMENT_UNANSWERED, actor="pay", due_in=SOON)
    assert moved is None


def test_renewing_prolongs_the_lease_but_never_past_its_limit(engine: Engine) -> None:
    order = an_order(engine, OrderState.OFFER_LOCKED)
    short = LeaseTerms(timedelta(seconds=1), timedelta(seconds=3))
    with engine.begin() as conn:
        mine = claim(conn, order, "me", short)
    assert mine is not None
    with engine.begin() as conn:
        leases.renew(conn, [(mine.tracking_number, mine.fence)], terms=TERMS)
    renewed = again(engine, order.tracking_number)
    assert mine.lease_until is not None
    assert renewed.lease_until is not None
    assert timedelta(seconds=1.5) < renewed.lease_until - mine.lease_until <= timedelta(seconds=2.1)


def test_a_lease_of_another_fence_is_not_renewed(engine: Engine) -> None:
    order = an_order(engine, OrderState.OFFER_LOCKED)
    with engine.begin() as conn:
        mine = claim(conn, order, "me", TERMS)
    assert mine is not None
    with engine.begin() as conn:
        leases.renew(conn, [(mine.tracking_number, mine.fence - 1)], terms=TERMS)
    assert again(engine, order.tracking_number).lease_until == mine.lease_until


def test_many_who_reach_for_one_order_at_once_get_it_once(engine: Engine) -> None:
    order = an_order(engine, OrderState.OFFER_LOCKED)
    together = threading.Barrier(6, timeout=20)
    won: list[bool] = []

    def reach() -> None:
        together.wait()
        with engine.begin() as conn:
            won.append(claim(conn, order, "x", TERMS) is not None)

    threads = [threading.Thread(target=reach) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(won) == [False] * 5 + [True]
