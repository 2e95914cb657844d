"""A PSP that is away is passed by; while all are, the order waits, its card with it, and its end is bounded (C10)."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain.states import OrderState
from shared.patience import NO_IN_HAND, PSP_AWAY
from shared.psp.record import Record
from shared.psp.traffic.gate import gate_of
from tests.support import lanes
from tests.support.failing_over import NOWHERE, SOFT_EVERYWHERE, age, failed_as, says_softly_no
from tests.support.two_psps import FIRST, SECOND, TwoPsps
from tests.support.vaulted import card_of
from tests.support.wire import fresh_card
from workers.pay import pay


def test_a_psp_that_takes_nothing_is_passed_by(both: TwoPsps) -> None:
    both.keep(FIRST, base_url=NOWHERE)
    number = both.room.locked()

    assert pay(both.room.run, number)

    assert both.tried(number) == [(FIRST, "absent"), (SECOND, "captured")]


def test_a_psp_whose_breaker_is_open_is_not_asked(both: TwoPsps) -> None:
    number = both.room.locked()

    assert pay(replace(both.room.run, records=lambda _: {FIRST: Record(is_away=True)}), number)

    assert both.tried(number) == [(SECOND, "captured")]


def put_off(both: TwoPsps, number: str) -> timedelta:
    [(left,)] = both.room.sql("SELECT due_at - now() FROM orders WHERE tracking_number = :n", n=number)
    assert isinstance(left, timedelta)
    return left


def test_an_order_whose_every_psp_is_away_waits_and_is_paid_when_one_is_back(both: TwoPsps) -> None:
    for provider in (FIRST, SECOND):
        both.keep(provider, base_url=NOWHERE)
    number = both.room.locked()

    assert not pay(both.room.run, number)
    assert both.room.state(number) is OrderState.OFFER_LOCKED
    assert timedelta(0) < put_off(both, number) <= PSP_AWAY
    keys = [one.psp_key for one in both.room.attempts(number)]
    both.keep(SECOND)
    both.room.comes_up(number)
    assert pay(both.room.run, number)

    assert both.live(number) == [SECOND]
    assert [one.psp_key for one in both.room.attempts(number)] == keys


def test_whether_who_is_said_to_be_away_still_is_says_its_gate(both: TwoPsps) -> None:
    """What a process believes of the records is some seconds old."""
    away = {name: Record(is_away=True) for name in (FIRST, SECOND)}

    assert pay(replace(both.room.run, records=lambda _: away), number := both.room.locked())

    assert both.live(number) == [FIRST]


def breaker_opens(both: TwoPsps, provider: str) -> None:
    """The breaker of the account at *provider* opens, and this process has not read of it yet."""
    account = replace(both.accounts[provider], tenant_id=str(both.room.seller.shop.tenant_id))
    both.room.run.vault.redis.hset(gate_of(lanes.of(account).name), "open", str(int((time.time() + 300) * 1e6)))


def test_a_psp_whose_breaker_is_open_is_passed_over_and_its_row_left(both: TwoPsps) -> None:
    breaker_opens(both, FIRST)
    number = both.room.locked()

    assert pay(both.room.run, number)

    assert (both.tried(number), both.live(number)) == ([(SECOND, "captured")], [SECOND])
    assert not both.room.order(number).stands_in_row


def test_an_order_whose_every_breaker_is_open_stands_in_a_row_without_an_attempt(both: TwoPsps) -> None:
    for provider in (FIRST, SECOND):
        breaker_opens(both, provider)
    number = both.room.locked()

    assert not pay(both.room.run, number)

    assert (both.room.state(number), both.tried(number)) == (OrderState.OFFER_LOCKED, [])
    assert both.room.order(number).stands_in_row


def test_with_a_no_in_hand_an_order_stands_in_the_row_of_who_is_away_no_longer_than_its_storefront_polls(
    both: TwoPsps,
) -> None:
    says_softly_no(both)
    breaker_opens(both, SECOND)
    number = both.room.locked()
    assert not pay(both.room.run, number)
    assert both.room.state(number) is OrderState.OFFER_LOCKED
    age(both, number, NO_IN_HAND)
    both.room.comes_up(number)

    assert not pay(both.room.run, number)

    assert failed_as(both, number) == "CARD_DECLINED: do_not_honor"


@pytest.mark.parametrize("bound", [False, True], ids=["routed", "forced"])
def test_a_forced_psp_that_is_away_is_waited_for(both: TwoPsps, bound: bool) -> None:
    both.keep(FIRST, base_url=NOWHERE)
    number = both.room.locked(fresh_card(providerIdentifier=FIRST) if bound else None)

    assert pay(both.room.run, number) is not bound

    assert both.room.state(number) is (OrderState.OFFER_LOCKED if bound else OrderState.CAPTURED)


def a_no_and_an_outage(both: TwoPsps) -> str:
    """An order that FIRST said no to, while SECOND is away."""
    both.keep(SECOND, base_url=NOWHERE)
    number = both.room.locked(fresh_card(SOFT_EVERYWHERE))
    assert not pay(both.room.run, number)
    assert both.tried(number) == [(FIRST, "declined"), (SECOND, "absent")]
    return number


def test_with_a_no_in_hand_an_order_waits_for_others_no_longer_than_its_storefront_polls(both: TwoPsps) -> None:
    number = a_no_and_an_outage(both)
    assert both.room.state(number) is OrderState.OFFER_LOCKED
    age(both, number, NO_IN_HAND)
    both.room.comes_up(number)

    assert not pay(both.room.run, number)

    assert failed_as(both, number) == "CARD_DECLINED: do_not_honor"


def test_with_a_no_in_hand_a_card_that_is_gone_ends_the_order_with_that_no(both: TwoPsps) -> None:
    number = a_no_and_an_outage(both)
    both.room.run.vault.forget(both.room.seller.shop.tenant_id, number)
    both.room.comes_up(number)

    assert not pay(both.room.run, number)

    assert failed_as(both, number) == "CARD_DECLINED: do_not_honor"


def has_card(both: TwoPsps, number: str) -> bool:
    return card_of(both.room.run.vault, both.room.seller.shop.tenant_id, number) is not None


def test_the_card_stays_while_another_psp_may_need_it_and_is_gone_after(both: TwoPsps) -> None:
    number = a_no_and_an_outage(both)
    assert has_card(both, number)
    assert not both.room.order(number).needs_no_card
    age(both, number, NO_IN_HAND)
    both.room.comes_up(number)

    pay(both.room.run, number)

    assert not has_card(both, number)
