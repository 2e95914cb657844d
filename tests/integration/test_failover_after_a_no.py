"""A soft no sends an order on to the next PSP, a hard one ends it, and its shopper pays once (C10)."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pytest

from shared.domain.money import Money
from shared.domain.offers import ArtifactGroup, ItemKind, Offer, OfferItem
from shared.domain.outcomes import Captured, Declined, DeclineReason
from shared.domain.states import OrderState
from shared.psp.factory import psp_for
from shared.psp.port import Channel
from shared.psp.record import Record
from shared.psp.router import Why
from shared.routing import MOST_PSPS
from shared.store import methods
from tests.support.failing_over import SOFT_EVERYWHERE, failed_as, says_softly_no
from tests.support.two_psps import FIRST, SECOND, TwoPsps
from tests.support.wire import Document, channel, fresh_card, stored_card
from workers.pay import pay

HARD: Final = "4000000000000002"
SOFT_AMOUNT: Final = 7_700_008
"""An amount that the sandbox declines softly."""


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


@pytest.mark.parametrize("payment", [channel("SEPA"), None], ids=["SEPA", "card"])
def test_a_soft_no_goes_on_on_any_channel(both: TwoPsps, payment: Document | None) -> None:
    says_softly_no(both)
    number = both.room.locked(payment)

    pay(both.room.run, number)

    assert [provider for provider, _ in both.tried(number)] == [FIRST, SECOND]
    assert both.room.state(number) in (OrderState.CONFIRMING, OrderState.CAPTURED)


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


def declined_cards(both: TwoPsps) -> int:
    """How many cards of the tenant's shoppers count as declined."""
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
    assert declined_cards(both) == (1 if ends is OrderState.FAILED else 0)
