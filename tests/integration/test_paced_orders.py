"""An order its PSP does not take now keeps its place, holds nothing meanwhile, and its poller is told the truth."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from redis import Redis

from api.advice import CALLED_S, LONGEST_RETRY_S, SPREAD
from deploy.stack import redis as servers
from shared.config import Settings
from shared.domain.states import OrderState
from shared.messages import FRONT_OF, QUEUE_OF, Step
from shared.psp.traffic.gate import gate_of
from shared.psp.traffic.lane import Errand, Later
from shared.psp.traffic.records import Records
from shared.psp.traffic.terms import terms_of
from shared.psp.traffic.turns import AWAY
from tests.support import engine_room
from tests.support.engine_room import EngineRoom
from tests.support.lanes import opens
from tests.support.order_crowds import nobody
from tests.support.own_redis import own_redis
from tests.support.psp import Sandbox, until
from tests.support.vaulted import card_of
from tests.support.wire import channel, fresh_card, stored_card
from workers.look_up import look_up
from workers.pay import pay
from workers.rescuer import rescue
from workers.return_money import return_money

SLOW = 0.1
"""Calls a second, at most: whoever comes second waits for seconds, and the row is what they wait in."""
ANSWER_LOST = "4000007700000141"


@pytest.fixture
def room(settings: Settings, vault_url: str, shared_psp: Sandbox) -> Iterator[EngineRoom]:
    """A tenant whose PSP takes a call every eleven seconds."""
    shared_psp.heal()
    with engine_room.opened(settings, vault_url, shared_psp, lease_s=1) as made:
        yield made.limited(SLOW)
    shared_psp.heal()


def waiting(room: EngineRoom) -> str:
    """An order that stands in the row: another one has the only slot near."""
    assert pay(room.run, room.locked())
    number = room.locked()
    assert not pay(room.run, number)
    return number


def test_an_order_without_a_slot_stands_in_the_row_with_no_attempt_and_no_lease(room: EngineRoom) -> None:
    began = time.monotonic()
    number = waiting(room)

    order = room.order(number)
    assert (order.state, order.waits_for) == (OrderState.OFFER_LOCKED, room.account.provider)
    assert (order.lease_until, order.fence, room.attempts(number)) == (None, 0, [])
    due_in, passed = room.due_in(number), time.monotonic() - began
    assert due_in - 2.0 <= room.lane.interval_s <= due_in + passed + 2.0
    assert card_of(room.run.vault, room.seller.shop.tenant_id, number) is not None, "its card waits with it"
    second = room.locked()
    assert not pay(room.run, second)
    first, behind = room.order(number).due_at, room.order(second).due_at
    assert first is not None
    assert behind is not None
    assert (behind - first).total_seconds() == pytest.approx(room.lane.interval_s, abs=1.0)


def test_a_second_message_does_not_cost_an_order_its_place(room: EngineRoom) -> None:
    number = waiting(room)
    place = room.order(number).due_at
    for _ in range(3):
        assert not pay(room.run, number)
    assert room.order(number).due_at == place


def test_when_its_place_comes_up_an_order_is_rung_for_ahead_of_the_backlog(room: EngineRoom, broker_url: str) -> None:
    nobody(room.owner)  # Who is late is rung for, too, of whatever test.
    number = waiting(room)
    with Redis.from_url(broker_url) as broker:
        broker.flushall()
        rescue(room.run)
        assert not broker.llen(FRONT_OF[Step.PAY])
        room.sql("UPDATE orders SET due_at = now() WHERE tracking_number = :n", n=number)

        rescue(room.run)

        [message] = until(lambda: broker.lrange(FRONT_OF[Step.PAY], 0, -1))
        assert json.loads(message)["headers"]["argsrepr"] == number
        assert not broker.llen(QUEUE_OF[Step.PAY])
    room.forget_traffic()  # The second in which its slot is free.
    assert pay(room.run, number)
    assert room.order(number).waits_for is None


def test_one_whose_place_came_up_too_early_waits_on_before_newcomers_and_without_a_growing_pause(
    room: EngineRoom,
) -> None:
    number = waiting(room)
    room.sql("UPDATE orders SET due_at = now(), rings = 5 WHERE tracking_number = :n", n=number)

    assert not pay(room.run, number)

    assert room.order(number).rings == 0
    assert room.due_in(number) <= room.lane.interval_s
    behind = room.locked()
    assert not pay(room.run, behind)
    assert room.due_in(behind) > room.due_in(number)


def test_a_poller_is_told_when_the_place_comes_up_and_asks_no_sooner(room: EngineRoom) -> None:
    number = waiting(room)
    place = room.due_in(number)

    told = poll(room, number)

    assert SPREAD[0] * (place - 1) <= told <= SPREAD[1] * (place + CALLED_S) + 1
    room.sql("UPDATE orders SET due_at = now() + interval '1 hour' WHERE tracking_number = :n", n=number)
    assert poll(room, number) == LONGEST_RETRY_S
    room.comes_up(number)
    assert poll(room, number) == 2, "somebody is at it"


def poll(room: EngineRoom, number: str) -> int:
    """What a poller is told: when to ask again."""
    with room.seller.app.test_client() as client:
        path = f"/api/v1/c2a/offer/checkout/{number}/status"
        answer = client.get(path, headers=room.seller.shop.headers)
    document = answer.get_json()
    assert answer.headers["Retry-After"] == str(document["followUpInstructions"]["retryAfterSeconds"])
    return int(document["followUpInstructions"]["retryAfterSeconds"])


def test_an_order_that_was_told_429_comes_back_when_the_psp_said(room: EngineRoom, shared_psp: Sandbox) -> None:
    room.forget_traffic()
    shared_psp.set_faults(next=[{"kind": "http429"}])
    number = room.locked()
    room.sql("UPDATE orders SET admitted_at = now() - interval '1 hour' WHERE tracking_number = :n", n=number)

    least, most = room.pause_after(pay, number)

    assert room.events(number)[-1] == "payment_not_made"
    assert room.order(number).stands_in_row
    assert least <= 1.0, "as Retry-After said, however long it has waited"
    assert most > 0.9


@pytest.fixture
def away(settings: Settings, vault_url: str, shared_psp: Sandbox) -> Iterator[EngineRoom]:
    """A tenant whose PSP's breaker is open for five minutes."""
    shared_psp.heal()
    with engine_room.opened(settings, vault_url, shared_psp, lease_s=1, breaker_open_s=300.0) as made:
        yield made
    shared_psp.heal()


def test_while_the_breaker_is_open_a_new_payment_is_neither_sent_nor_begun(
    away: EngineRoom, shared_psp: Sandbox
) -> None:
    opens(away.run.turns, away.lane)
    calls = shared_psp.get(f"/traffic/{away.account.account_id}")["calls"]
    number = away.locked()

    assert not pay(away.run, number)

    assert (away.state(number), away.attempts(number)) == (OrderState.OFFER_LOCKED, [])
    assert 290 < away.due_in(number) <= 300
    told = away.run.turn(away.account, Errand.NEW, card=False, keeps=False)
    assert isinstance(told, Later)
    assert told.why == AWAY
    assert shared_psp.get(f"/traffic/{away.account.account_id}")["calls"] == calls


def test_a_repeat_waits_for_an_open_breaker_with_its_attempt_open(away: EngineRoom) -> None:
    number = away.locked()
    away.dies_while_charging(number, after_the_charge=True)
    away.until_lease_ended(number)
    opens(away.run.turns, away.lane)

    assert not pay(away.run, number)

    assert away.state(number) is OrderState.PAYING
    assert away.due_in(number) < 10, "money in doubt may try every few seconds"
    away.forget_traffic()
    away.comes_up(number)
    assert pay(away.run, number)


def test_a_look_up_that_may_not_go_counts_as_none(away: EngineRoom) -> None:
    number = away.locked(fresh_card(ANSWER_LOST))
    pay(away.run, number)
    opens(away.run.turns, away.lane)

    look_up(away.run, number)

    assert away.attempt(number).looks == 0
    assert 0 < away.due_in(number) < 10
    away.forget_traffic()
    look_up(away.run, number)
    assert away.state(number) is OrderState.CAPTURED


def test_money_that_has_to_go_back_waits_as_long_as_its_psp_and_no_longer(away: EngineRoom) -> None:
    number = away.locked()
    assert pay(away.run, number)
    away.sql("UPDATE payment_attempts SET outcome = 'returning', due_at = now() WHERE tracking_number = :n", n=number)
    opens(away.run.turns, away.lane)

    return_money(away.run, number)

    [(left,)] = away.sql("SELECT due_at - now() FROM payment_attempts WHERE tracking_number = :n", n=number)
    assert timedelta(0) < left < timedelta(seconds=10)


def test_when_a_psp_is_back_those_who_wait_for_it_come_one_after_the_other(
    away: EngineRoom, shared_psp: Sandbox
) -> None:
    unclear = away.locked(fresh_card(ANSWER_LOST))
    pay(away.run, unclear)
    shared_psp.set_faults(settleSeconds=600)
    pending = away.locked(channel("SEPA"))
    pay(away.run, pending)
    opens(away.run.turns, away.lane)
    placed = [away.locked() for _ in range(20)]
    for number in placed:
        pay(away.run, number)
    away.sql("UPDATE orders SET due_at = now() + interval '4 min' WHERE tracking_number = :n", n=unclear)
    away.run.vault.redis.hset(gate_of(away.lane.name), "open", "1")  # Its five minutes are over.

    assert pay(away.run, away.locked())

    dues = [away.order(number).due_at for number in (unclear, *placed)]
    steps = [later - sooner for sooner, later in pairwise(dues) if sooner and later]
    assert steps == [timedelta(seconds=away.lane.apart_s)] * 20, "money in doubt first, then each in its place"
    assert away.due_in(unclear) <= 0
    assert away.due_in(pending) > 1_000, "a bank's days are not a PSP's outage"


def test_a_lost_answer_or_two_are_no_outage(away: EngineRoom) -> None:
    number = away.locked(fresh_card(ANSWER_LOST))
    pay(away.run, number)
    away.sql("UPDATE orders SET due_at = now() + interval '4 min' WHERE tracking_number = :n", n=number)
    assert pay(away.run, away.locked())
    assert away.due_in(number) > 200


def test_without_the_vaults_redis_a_stored_card_is_charged_all_the_same(
    settings: Settings, shared_psp: Sandbox, tmp_path: Path
) -> None:
    """Its gate is there, too: the process paces by itself."""
    with (
        own_redis(tmp_path, servers.vault) as own,
        engine_room.opened(settings, own.url, shared_psp, lease_s=1) as room,
    ):
        numbers = [room.locked(stored_card(room.a_stored_card())) for _ in range(3)]
        own.kill()
        assert all(pay(room.run, number) for number in numbers)


def test_the_engine_room_reads_the_record_of_its_calls(away: EngineRoom) -> None:
    assert pay(away.run, away.locked())
    pay(away.run, away.locked(fresh_card("4000000000000002")))
    records = Records(away.run.vault.redis, terms_of(away.run.settings))  # The room's own believes what it read before.
    record = records.of([away.account])[away.account.provider]
    assert (record.calls, record.successes) == (1, 1)
    assert record.mean_ms > 0
