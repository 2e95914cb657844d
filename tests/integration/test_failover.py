"""An order goes on to another PSP after a soft no or an outage, only with proof, and its shopper pays once (C10)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final, cast

import pytest

from shared.domain.money import Money
from shared.domain.offers import ArtifactGroup, ItemKind, Offer, OfferItem
from shared.domain.outcomes import Captured, Declined, DeclineReason
from shared.domain.states import OrderState
from shared.patience import NO_IN_HAND, PSP_AWAY
from shared.psp.factory import psp_for
from shared.psp.port import Account, Channel, Psp
from shared.psp.record import Record
from shared.psp.router import Why
from shared.psp.traffic.gate import gate_of
from shared.routing import MOST_PSPS
from shared.store import methods
from tests.support import lanes
from tests.support.cut_charges import cut_after_each_charge
from tests.support.two_psps import FIRST, SECOND, TwoPsps
from tests.support.wire import Document, channel, fresh_card, stored_card
from workers.look_up import look_up
from workers.pay import pay
from workers.runtime import Runtime

NOWHERE: Final = "http://127.0.0.1:9"
"""Nobody listens on the discard port: what is sent there provably reaches nobody."""
HARD: Final = "4000000000000002"
SOFT_EVERYWHERE: Final = "4000007700000018"
DROPPED: Final = "4000007700000133"
"""The connection drops, nothing is written."""
ANSWER_LOST: Final = "4000007700000141"
SOFT_AMOUNT: Final = 7_700_008


def says_softly_no(both: TwoPsps, provider: str = FIRST, *, times: int = 1) -> None:
    both.sandboxes[provider].set_faults(next=[{"kind": "declineSoft", "times": times}])


def age(both: TwoPsps, number: str, by: timedelta) -> None:
    """Let the order have been admitted *by* earlier, and its PSPs been asked as much earlier."""
    both.room.sql(
        "UPDATE orders SET admitted_at = admitted_at - cast(:by AS interval) WHERE tracking_number = :n",
        by=by,
        n=number,
    )
    both.room.asked_earlier(number, by)


def failed_as(both: TwoPsps, number: str) -> str | None:
    assert both.room.state(number) is OrderState.FAILED
    return both.room.order(number).failure


def put_off(both: TwoPsps, number: str) -> timedelta:
    [(left,)] = both.room.sql("SELECT due_at - now() FROM orders WHERE tracking_number = :n", n=number)
    assert isinstance(left, timedelta)
    return left


# A no


def test_after_a_soft_no_the_next_best_psp_is_asked_and_the_shopper_pays_once(both: TwoPsps) -> None:
    says_softly_no(both)
    number = both.room.locked()

    assert pay(both.room.run, number)

    assert both.tried(number) == [(FIRST, "declined"), (SECOND, "captured")]
    assert both.live(number) == [SECOND]
    assert both.room.events(number)[-4:] == [
        "payment_started",
        "payment_declined_soft",
        "payment_started",
        "payment_captured",
    ]


def test_the_second_attempt_says_who_was_left_out_of_it(both: TwoPsps) -> None:
    says_softly_no(both)
    number = both.room.locked()
    pay(both.room.run, number)

    rows = both.room.sql("SELECT route FROM payment_attempts WHERE tracking_number = :n ORDER BY attempt_no", n=number)

    first, second = (route for (route,) in rows)
    assert [one["provider"] for one in first["ranked"]] == [FIRST, SECOND]
    assert second["leftOut"] == [{"provider": FIRST, "why": Why.TRIED.value}]


def test_a_hard_no_ends_the_order_and_nobody_else_is_asked(both: TwoPsps) -> None:
    number = both.room.locked(fresh_card(HARD))

    assert not pay(both.room.run, number)

    assert failed_as(both, number) == "CARD_DECLINED: generic_decline"
    assert both.tried(number) == [(FIRST, "declined")]
    assert both.charges(SECOND, number) == []


def test_with_nobody_left_the_order_fails_with_the_last_no(both: TwoPsps) -> None:
    says_softly_no(both)
    number = both.room.locked(fresh_card("4000007700000026"))

    assert not pay(both.room.run, number)

    assert failed_as(both, number) == "CARD_DECLINED: issuer_unavailable"
    assert both.tried(number) == [(FIRST, "declined"), (SECOND, "declined")]
    assert both.live(number) == []


def test_a_no_from_the_only_psp_ends_the_order_at_once(both: TwoPsps) -> None:
    both.keep(SECOND, enabled=False)
    number = both.room.locked(fresh_card(SOFT_EVERYWHERE))

    assert not pay(both.room.run, number)

    assert failed_as(both, number) == "CARD_DECLINED: do_not_honor"


def of_soft_amount(both: TwoPsps) -> Offer:
    item = OfferItem("it.00.42", ItemKind.BUNDLE, "Dear", Money(SOFT_AMOUNT, "EUR"), 10)
    return both.room.seller.offer(groups=(ArtifactGroup("bn", "Dear", (item,)),), installments=())


def a_kept_card(both: TwoPsps) -> str:
    """The URN of a card that FIRST keeps."""
    number = both.room.locked(fresh_card(storeMethodSuccessPayment="always"))
    pay(both.room.run, number)
    found = psp_for(both.accounts[FIRST]).look_up(both.room.attempt(number).query)
    assert isinstance(found, Captured)
    assert found.kept is not None
    who = (both.room.seller.shop.tenant_id, "cu.00.482", Channel.CREDIT_CARD, FIRST)
    with both.room.run.engine.begin() as conn:
        return methods.store(conn, both.room.run.keyring, *who, found.kept, alias=None, tracking_number=None)


@pytest.mark.parametrize("bound", ["forced", "stored"])
def test_an_order_that_is_bound_to_one_psp_never_moves(both: TwoPsps, bound: str) -> None:
    payment = fresh_card(providerIdentifier=FIRST) if bound == "forced" else stored_card(a_kept_card(both))
    number = both.room.locked(payment, offer=of_soft_amount(both))

    assert not pay(both.room.run, number)

    assert failed_as(both, number) == "CARD_DECLINED: do_not_honor"
    assert both.tried(number) == [(FIRST, "declined")]
    assert both.charges(SECOND, number) == []
    assert "payment_declined_soft" not in both.room.events(number)


def test_a_psp_with_the_token_is_asked_though_another_is_better(both: TwoPsps) -> None:
    urn = a_kept_card(both)
    records = {FIRST: Record(100, 60, 2_000.0), SECOND: Record(100, 100, 100.0)}
    number = both.room.locked(stored_card(urn))

    assert pay(replace(both.room.run, records=lambda _: records), number)

    assert both.live(number) == [FIRST]


def test_whoever_came_back_from_their_bank_with_a_no_is_not_asked_twice(both: TwoPsps) -> None:
    number = both.room.locked(fresh_card("4000002760003184"))
    pay(both.room.run, number)
    assert both.room.state(number) is OrderState.CHALLENGE

    both.room.tell(both.room.attempt(number), Declined(DeclineReason.DO_NOT_HONOR, soft=True), actor="webhook")

    assert failed_as(both, number) == "CARD_DECLINED: do_not_honor"


def test_no_more_psps_are_asked_than_the_most(both: TwoPsps) -> None:
    for name, of in (("third", FIRST), ("fourth", SECOND)):
        account = replace(both.sandboxes[of].account(), tenant_id=both.room.account.tenant_id, provider=name)
        both.add(account)
    number = both.room.locked(fresh_card(SOFT_EVERYWHERE))

    assert not pay(both.room.run, number)

    assert len(both.tried(number)) == MOST_PSPS == 3
    assert failed_as(both, number) == "CARD_DECLINED: do_not_honor"


# Proof


class _Forgetful:
    """A PSP that does not promise to remember what it declined."""

    def __init__(self, psp: Psp) -> None:
        self._psp = psp

    def __getattr__(self, name: str) -> Any:
        return getattr(self._psp, name)

    @property
    def capabilities(self) -> Any:
        return replace(self._psp.capabilities, remembers_declines=False)


def forgetful(run: Runtime) -> Runtime:
    def made(account: Account) -> Psp:
        return cast("Psp", _Forgetful(psp_for(account)))

    return replace(run, psp_for=made)


@pytest.mark.parametrize("remembers", [True, False], ids=["sticky", "forgetful"])
def test_a_no_to_a_repeat_is_proof_only_where_the_psp_remembers_its_no(both: TwoPsps, remembers: bool) -> None:
    """The first request may still be on its way, and at a PSP that forgets its no it may become money."""
    number = both.room.locked()
    both.room.dies_while_charging(number, after_the_charge=False)
    both.room.until_lease_ended(number)
    says_softly_no(both)

    paid = pay(both.room.run if remembers else forgetful(both.room.run), number)

    assert paid is remembers
    assert both.live(number) == ([SECOND] if remembers else [])
    if not remembers:
        assert failed_as(both, number) == "CARD_DECLINED: do_not_honor"
        assert both.charges(SECOND, number) == []


def test_a_no_to_the_only_request_is_proof_wherever_it_was_given(both: TwoPsps) -> None:
    says_softly_no(both)
    number = both.room.locked()

    assert pay(forgetful(both.room.run), number)

    assert both.live(number) == [SECOND]


@pytest.mark.parametrize("trouble", ["dropAfter", "http500After", "timeoutAfter", "malformed", "otherAmount"])
def test_while_the_first_is_unknown_the_second_is_not_called(both: TwoPsps, trouble: str) -> None:
    """C10. The first took the money and did not say so."""
    both.sandboxes[FIRST].set_faults(hangSeconds=0.1, next=[{"kind": trouble}])
    number = both.room.locked()

    assert not pay(both.room.run, number)
    assert both.room.state(number) is OrderState.CONFIRMING
    assert both.charges(SECOND, number) == []
    look_up(both.room.run, number)

    assert both.room.state(number) is OrderState.CAPTURED
    assert both.live(number) == [FIRST]
    assert both.charges(SECOND, number) == []


def test_a_request_that_was_lost_goes_to_the_second_once_its_absence_is_proven(both: TwoPsps) -> None:
    number = both.room.locked(fresh_card(DROPPED))
    both.sandboxes[SECOND].set_faults(strikes=0)
    assert not pay(both.room.run, number)

    look_up(both.room.run, number)
    assert not pay(both.room.run, number)
    assert both.charges(SECOND, number) == [], "it may still be on its way"
    age(both, number, timedelta(seconds=61))
    look_up(both.room.run, number)
    assert pay(both.room.run, number)

    assert both.tried(number) == [(FIRST, "absent"), (SECOND, "captured")]
    assert both.live(number) == [SECOND]


class _BehindItsTime(_Forgetful):
    """A PSP whose index may be behind: that it finds no charge proves nothing."""

    @property
    def capabilities(self) -> Any:
        return replace(self._psp.capabilities, proves_absence=False)


def test_a_psp_whose_index_may_be_behind_is_asked_again_and_nobody_else(both: TwoPsps) -> None:
    """Under the same key, which is as old as it was: if there was a charge, it is this one."""
    run = replace(both.room.run, psp_for=lambda account: cast("Psp", _BehindItsTime(psp_for(account))))
    number = both.room.locked(fresh_card(DROPPED))
    pay(run, number)
    age(both, number, timedelta(seconds=61))
    before = both.room.attempt(number)
    look_up(run, number)

    assert pay(run, number)

    after = both.room.attempt(number)
    assert (after.provider, after.psp_key, after.started_at) == (FIRST, before.psp_key, before.started_at)
    assert not after.was_asked_once
    assert both.live(number) == [FIRST]


def test_a_charge_its_index_did_not_show_for_as_long_as_keys_are_kept_never_was(both: TwoPsps) -> None:
    """The order ends: its patience of a day is over by then."""
    run = replace(both.room.run, psp_for=lambda account: cast("Psp", _BehindItsTime(psp_for(account))))
    number = both.room.locked(fresh_card(DROPPED))
    pay(run, number)
    age(both, number, timedelta(seconds=61))
    look_up(run, number)
    age(both, number, timedelta(hours=25))

    assert not pay(run, number)

    assert failed_as(both, number) == "CANCELLED"
    assert both.live(number) == []


def test_a_soft_no_that_a_look_up_learns_goes_on_as_well(both: TwoPsps) -> None:
    both.sandboxes[FIRST].set_faults(next=[{"kind": "dropAfter"}])
    number = both.room.locked(fresh_card(SOFT_EVERYWHERE))
    pay(both.room.run, number)
    assert both.room.state(number) is OrderState.CONFIRMING

    look_up(both.room.run, number)
    assert both.room.state(number) is OrderState.OFFER_LOCKED
    assert not pay(both.room.run, number)

    assert both.tried(number) == [(FIRST, "declined"), (SECOND, "declined")]


# Outages


def test_a_psp_that_takes_nothing_is_passed_by(both: TwoPsps) -> None:
    both.keep(FIRST, base_url=NOWHERE)
    number = both.room.locked()

    assert pay(both.room.run, number)

    assert both.tried(number) == [(FIRST, "absent"), (SECOND, "captured")]


def test_a_psp_whose_breaker_is_open_is_not_asked(both: TwoPsps) -> None:
    number = both.room.locked()

    assert pay(replace(both.room.run, records=lambda _: {FIRST: Record(is_away=True)}), number)

    assert both.tried(number) == [(SECOND, "captured")]


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


# The card


def has_card(both: TwoPsps, number: str) -> bool:
    return both.room.run.vault.get(both.room.seller.shop.tenant_id, number) is not None


def test_the_card_stays_while_another_psp_may_need_it_and_is_gone_after(both: TwoPsps) -> None:
    number = a_no_and_an_outage(both)
    assert has_card(both, number)
    assert not both.room.order(number).needs_no_card
    age(both, number, NO_IN_HAND)
    both.room.comes_up(number)

    pay(both.room.run, number)

    assert not has_card(both, number)


def declines_of(both: TwoPsps, customer: str) -> int:
    redis = both.room.run.vault.redis
    return sum(
        int(redis.scard(key)) for key in redis.scan_iter(f"declines:{both.room.seller.shop.tenant_id}:customer:*")
    )


@pytest.mark.parametrize("ends", [OrderState.FAILED, OrderState.CAPTURED])
def test_a_card_counts_as_declined_once_and_only_if_nobody_took_it(both: TwoPsps, ends: OrderState) -> None:
    """Card testing counts cards that were tried, and this was one, however many PSPs looked at it."""
    says_softly_no(both)
    if ends is OrderState.FAILED:
        says_softly_no(both, SECOND)
    number = both.room.locked()

    pay(both.room.run, number)

    assert both.room.state(number) is ends
    assert declines_of(both, "cu.00.482") == (1 if ends is OrderState.FAILED else 0)


# What comes late


def late_charge(both: TwoPsps, number: str) -> Any:
    """A capture that FIRST makes under the key of the attempt it declined: a repeat at a PSP that forgot its no."""
    return both.charge(FIRST, both.room.attempts(number)[0])


def test_a_capture_that_comes_after_the_failover_goes_back(both: TwoPsps) -> None:
    both.sandboxes[FIRST].set_faults(memory="successes", next=[{"kind": "declineSoft"}])
    number = both.room.locked()
    pay(both.room.run, number)
    late = late_charge(both, number)

    both.room.tell(both.room.attempts(number)[0], late, actor="webhook")
    both.give_back(number)

    assert both.room.state(number) is OrderState.CAPTURED
    assert both.tried(number) == [(FIRST, "returned"), (SECOND, "captured")]
    assert both.live(number) == [SECOND]


def test_a_capture_that_comes_while_the_second_is_asked_is_the_orders_and_the_seconds_goes_back(both: TwoPsps) -> None:
    both.sandboxes[FIRST].set_faults(memory="successes", next=[{"kind": "declineSoft"}])
    number = both.room.locked()

    def told() -> None:
        both.room.tell(both.room.attempts(number)[0], late_charge(both, number), actor="webhook")

    assert pay(both.asking(SECOND, told), number)
    both.give_back(number)

    assert both.room.state(number) is OrderState.CAPTURED
    assert both.tried(number) == [(FIRST, "captured"), (SECOND, "returned")]
    assert both.live(number) == [FIRST]


def test_a_webhook_that_tells_of_the_no_first_does_not_stop_the_failover(both: TwoPsps) -> None:
    says_softly_no(both)
    number = both.room.locked()

    def told() -> None:
        attempt = both.room.attempt(number)
        both.room.tell(attempt, Declined(DeclineReason.DO_NOT_HONOR, soft=True), actor="webhook")
        assert both.room.state(number) is OrderState.OFFER_LOCKED

    assert pay(both.asking(FIRST, told), number)

    assert both.live(number) == [SECOND]


def test_a_worker_that_dies_between_two_psps_is_succeeded(both: TwoPsps) -> None:
    says_softly_no(both)
    number = both.room.locked()
    both.dies_while_asking(SECOND, number)
    assert both.tried(number) == [(FIRST, "declined"), (SECOND, "open")]
    both.room.until_lease_ended(number)

    assert pay(both.room.run, number)

    assert both.live(number) == [SECOND]
    assert both.tried(number) == [(FIRST, "declined"), (SECOND, "captured")]


@pytest.mark.parametrize("payment", [channel("SEPA"), None], ids=["SEPA", "card"])
def test_a_soft_no_goes_on_on_any_channel(both: TwoPsps, payment: Document | None) -> None:
    says_softly_no(both)
    number = both.room.locked(payment)

    pay(both.room.run, number)

    assert [provider for provider, _ in both.tried(number)] == [FIRST, SECOND]
    assert both.room.state(number) in (OrderState.CONFIRMING, OrderState.CAPTURED)


def test_the_first_psp_is_cut_off_after_each_charge_and_nobody_pays_twice(
    both: TwoPsps, say: Callable[[str], None]
) -> None:
    """C10, twenty times; five hundred times in tests/bench/test_failover_500.py."""
    figures = cut_after_each_charge(both, 20)
    say(f"{figures.orders} orders cut off at their first PSP, charges asked of each: {dict(figures.calls)}")

    assert figures.broken == []
    assert figures.orders == 20
