"""Each way an order comes to need its card no more, the card is gone from the vault within a second (PCI DSS 3.3.1).

The webhook's ways stand with the webhook (test_webhook_route.py); a card that a dead process left, with the upkeep
(test_spent_cards.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Final

import pytest

from shared.domain.outcomes import Captured
from shared.domain.states import OrderState
from shared.psp.port import EventKind, PspEvent
from shared.settle import MAY_HOLD_MONEY
from shared.store import inbox
from shared.store.attempts import AttemptState
from shared.store.engine import statements
from tests.support import lateness
from tests.support.engine_room import EngineRoom
from tests.support.psp import Sandbox
from tests.support.storefront import new_correlation
from tests.support.unsynced import unsynced
from tests.support.vaulted import card_of
from tests.support.wire import Document, fresh_card
from workers import reconcile
from workers.lock_offer import lock_offer
from workers.look_up import look_up
from workers.pay import pay
from workers.release import Releases
from workers.return_money import return_money

DECLINED: Final = "4000000000000002"
THREE_DS: Final = "4000002760003184"
TAKES_DAYS: Final = "4000007700000067"
ANSWER_LOST: Final = "4000007700000141"
GONE_WITHIN: Final = timedelta(seconds=1)

Step = Callable[[], object]


@pytest.fixture(scope="module", autouse=True)
def _unsynced(postgres_url: str) -> Iterator[None]:
    """What a commit costs on a disk that others write to is not the matter here."""
    with unsynced(postgres_url):
        yield


def has_card(room: EngineRoom, number: str) -> bool:
    return card_of(room.run.vault, room.seller.shop.tenant_id, number) is not None


def paid_with(card: str) -> Callable[[EngineRoom], tuple[str, Step]]:
    def way(room: EngineRoom) -> tuple[str, Step]:
        number = room.locked(fresh_card(card))
        return number, lambda: pay(room.run, number)

    return way


def looked_up(room: EngineRoom) -> tuple[str, Step]:
    number = room.locked(fresh_card(ANSWER_LOST))
    pay(room.run, number)
    assert room.state(number) is OrderState.CONFIRMING
    return number, lambda: look_up(room.run, number)


def costs_nothing(room: EngineRoom) -> tuple[str, Step]:
    number = room.locked()
    room.sql("UPDATE orders SET amount_minor = 0 WHERE tracking_number = :n", n=number)
    return number, lambda: pay(room.run, number)


def waited_a_day(room: EngineRoom) -> tuple[str, Step]:
    number = room.locked()
    room.sql("UPDATE orders SET admitted_at = now() - interval '1 day' WHERE tracking_number = :n", n=number)
    return number, lambda: pay(room.run, number)


def has_no_provider(room: EngineRoom) -> tuple[str, Step]:
    number = room.locked()
    room.sql("UPDATE orders SET forced_provider = 'gone' WHERE tracking_number = :n", n=number)
    return number, lambda: pay(room.run, number)


def waited_an_hour_for_its_offer(room: EngineRoom) -> tuple[str, Step]:
    number = room.admitted()
    room.sql("UPDATE orders SET deadline_at = now() WHERE tracking_number = :n", n=number)
    return number, lambda: lock_offer(room.run, number)


def came_second_to_its_offer(room: EngineRoom) -> tuple[str, Step]:
    offer = room.seller.offer()
    first, second = room.admitted(offer=offer), room.admitted(offer=offer)
    assert lock_offer(room.run, first)
    return second, lambda: lock_offer(room.run, second)


def found_in_the_books(room: EngineRoom) -> tuple[str, Step]:
    """Written off as absent, and its order waits to be paid anew: then the charge is found."""
    number = room.locked()
    room.dies_while_charging(number, after_the_charge=True)
    attempt = room.attempt(number)
    found = room.psp.look_up(attempt.query)
    assert isinstance(found, Captured)
    room.sql("UPDATE payment_attempts SET outcome = 'absent' WHERE tracking_number = :n", n=number)
    room.sql("UPDATE orders SET state = 'offer_locked' WHERE tracking_number = :n", n=number)
    return number, lambda: reconcile.settle_found(room.run, room.attempt(number), found)


def money_went_back(room: EngineRoom) -> tuple[str, Step]:
    """Given up while it was being paid."""
    number = room.locked()
    room.dies_while_charging(number, after_the_charge=True)
    found = room.psp.look_up(room.attempt(number).query)
    assert isinstance(found, Captured)
    assert AttemptState.RETURNING not in MAY_HOLD_MONEY
    room.sql(
        "UPDATE payment_attempts SET outcome = 'returning', psp_reference = :r WHERE tracking_number = :n",
        r=found.reference,
        n=number,
    )
    return number, lambda: return_money(room.run, number)


def told_before_its_attempt_was_known(room: EngineRoom) -> tuple[str, Step]:
    number = room.locked()
    room.dies_while_charging(number, after_the_charge=True)
    attempt = room.attempt(number)
    found = room.psp.look_up(attempt.query)
    early = PspEvent(new_correlation(), EventKind.CHARGE, attempt.merchant_reference, attempt.psp_key, found)
    with statements(room.run.engine) as conn:
        assert inbox.keep(conn, room.run.keyring, room.seller.shop.tenant_id, room.account.provider, early)
    return number, lambda: Releases().round(room.run)


WAYS: Final = [
    pytest.param(paid_with("4111111111111111"), OrderState.CAPTURED, id="captured"),
    pytest.param(paid_with(DECLINED), OrderState.FAILED, id="declined"),
    pytest.param(paid_with(THREE_DS), OrderState.CHALLENGE, id="challenge begun"),
    pytest.param(paid_with(TAKES_DAYS), OrderState.CONFIRMING, id="pending"),
    *(
        pytest.param(way, state, id=way.__name__.replace("_", " "))
        for way, state in (
            (looked_up, OrderState.CAPTURED),
            (costs_nothing, OrderState.CAPTURED),
            (waited_a_day, OrderState.FAILED),
            (has_no_provider, OrderState.FAILED),
            (waited_an_hour_for_its_offer, OrderState.FAILED),
            (came_second_to_its_offer, OrderState.FAILED),
            (found_in_the_books, OrderState.CAPTURED),
            (money_went_back, OrderState.FAILED),
            (told_before_its_attempt_was_known, OrderState.CAPTURED),
        )
    ),
]


@pytest.mark.parametrize(("way", "ends"), WAYS)
def test_the_card_is_gone_a_second_after_the_move_that_ends_its_need(
    room: EngineRoom, shared_psp: Sandbox, way: Callable[[EngineRoom], tuple[str, Step]], ends: OrderState
) -> None:
    shared_psp.set_faults(settleSeconds=600)
    number, step = way(room)
    assert has_card(room, number)

    with lateness.watched() as late:
        step()
        assert not has_card(room, number)
        since_the_move = "SELECT clock_timestamp() - max(at) FROM order_events WHERE tracking_number = :n"
        [(since,)] = room.sql(since_the_move, n=number)

    assert since - timedelta(seconds=late.seconds) < GONE_WITHIN
    assert (room.state(number), room.order(number).needs_no_card) == (ends, True)


def cards(room: EngineRoom) -> set[str]:
    tenant = room.seller.shop.tenant_id
    return {number for owner, number in room.run.vault.waiting() if owner == tenant}


def refused(room: EngineRoom) -> Document:
    return room.seller.request(offer=room.seller.offer(life=timedelta(seconds=-1)))


def repeated(room: EngineRoom) -> Document:
    request = room.seller.request(correlationId=new_correlation())
    assert room.seller.post(request).status_code == 202
    return request


def in_conflict(room: EngineRoom) -> Document:
    request = repeated(room)
    return request | {"paymentMethod": fresh_card(DECLINED)}


@pytest.mark.parametrize(("called", "status"), [(refused, 409), (repeated, 202), (in_conflict, 409)])
def test_a_call_that_makes_no_order_leaves_no_card(
    room: EngineRoom, called: Callable[[EngineRoom], Document], status: int
) -> None:
    request = called(room)
    before = cards(room)

    answer = room.seller.post(request)

    assert answer.status_code == status
    assert cards(room) == before


def test_a_card_is_kept_for_as_long_as_another_attempt_may_need_it(room: EngineRoom) -> None:
    number, look = looked_up(room)
    assert has_card(room, number)
    assert not room.order(number).needs_no_card
    look()
    assert not has_card(room, number)
