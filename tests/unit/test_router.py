"""Who is asked to take a payment: who may be, and who of them first, by figures that can be worked out by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.domain.money import Money
from shared.domain.outcomes import (
    Captured,
    Challenge,
    Challenged,
    Declined,
    DeclineReason,
    NotSent,
    PaymentOutcome,
    Pending,
    Unanswered,
)
from shared.psp.port import Channel
from shared.psp.record import Record, counts_for
from shared.psp.router import Candidate, Need, Why, choose
from shared.psp.scores import PRIOR_CALLS, WEIGHTS, Pool, score
from tests.support.routing import CARD_NEED, TEN_EUROS, a_candidate, able, an_account

PLAIN = a_candidate("plain")
NOTHING_KNOWN = Pool(rate=0.5, mean_ms=1_000)


def order_of(*candidates: Candidate, need: Need = CARD_NEED) -> list[str]:
    return [one.provider for one in choose(candidates, need).ranked]


@pytest.mark.parametrize(
    ("candidate", "need", "why"),
    [
        (a_candidate("a", can=None), CARD_NEED, Why.NO_ADAPTER),
        (a_candidate("a", channels=frozenset({Channel.SEPA})), CARD_NEED, Why.CHANNEL),
        (a_candidate("a", can=able(channels=frozenset({Channel.SEPA}))), CARD_NEED, Why.CHANNEL),
        (a_candidate("a", currencies=frozenset({"USD"})), CARD_NEED, Why.CURRENCY),
        (a_candidate("a", can=able(currencies=frozenset({"USD"}))), CARD_NEED, Why.CURRENCY),
        (a_candidate("a"), replace(CARD_NEED, provider="plain"), Why.NOT_THE_ONE),
        (a_candidate("a"), replace(CARD_NEED, tried=frozenset({"a"})), Why.TRIED),
        (a_candidate("a"), replace(CARD_NEED, again=frozenset({"plain"}), may_add=False), Why.ENOUGH),
        (a_candidate("a", Record(is_away=True)), CARD_NEED, Why.AWAY),
        (a_candidate("a", can=able(keeps_methods=False)), replace(CARD_NEED, keep_method=True), Why.KEEPS_NONE),
    ],
    ids=lambda value: value.name if isinstance(value, Why) else "",
)
def test_who_may_not_be_asked_is_left_out_and_it_is_said_why(candidate: Candidate, need: Need, why: Why) -> None:
    route = choose([candidate, PLAIN], need)

    assert [one.provider for one in route.ranked] == ["plain"]
    assert route.left_out == (("a", why),)


def test_a_sale_comes_before_a_stored_card() -> None:
    """Who keeps no cards is asked all the same once nobody else may be."""
    keeps, keeps_none = a_candidate("keeps"), a_candidate("none", can=able(keeps_methods=False))
    need = replace(CARD_NEED, keep_method=True)

    assert order_of(keeps_none, keeps, need=need) == ["keeps"]
    assert order_of(keeps_none, keeps, need=replace(need, tried=frozenset({"keeps"}))) == ["none"]


def test_a_card_that_is_only_to_be_kept_goes_to_nobody_who_cannot_keep_it() -> None:
    keeps_none = a_candidate("none", can=able(keeps_methods=False))

    assert choose([keeps_none], Need(Channel.CREDIT_CARD, keep_method=True)).best is None


def test_who_took_nothing_before_stands_behind_all_that_were_not_asked() -> None:
    worst = a_candidate("worst", Record(1_000, 10, 9_000), fee_bps=900)

    assert order_of(PLAIN, worst, need=replace(CARD_NEED, again=frozenset({"plain"}))) == ["worst", "plain"]


def test_somebody_may_come_back_only_if_nothing_else_stands_in_their_way() -> None:
    away = a_candidate("away", Record(is_away=True))

    assert choose([away], CARD_NEED).may_come
    assert not choose([away], replace(CARD_NEED, tried=frozenset({"away"}))).may_come
    assert not choose([PLAIN], CARD_NEED).may_come


def test_equal_accounts_stand_in_the_tenants_own_order() -> None:
    assert order_of(a_candidate("zebra"), a_candidate("adder")) == ["zebra", "adder"]


def test_the_weights_are_those_that_were_promised_and_make_one() -> None:
    assert WEIGHTS == {"success": 0.4, "response_time": 0.25, "fee": 0.2, "geography": 0.1, "features": 0.05}
    assert sum(WEIGHTS.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ({"record": Record(100, 99, 300)}, {"record": Record(100, 90, 300)}),
        ({"record": Record(100, 95, 300)}, {"record": Record(100, 95, 900)}),
        ({"fee_bps": 140}, {"fee_bps": 290}),
        ({"fee_minor": 10}, {"fee_minor": 30}),
        ({"home_currencies": frozenset({"EUR"})}, {}),
        ({}, {"home_currencies": frozenset({"USD"})}),
        ({}, {"can": able(voids=False)}),
    ],
    ids=["success", "response time", "share", "fixed fee", "at home", "home not told", "features"],
)
def test_who_is_better_in_one_part_and_equal_in_the_rest_is_asked_first(
    better: dict[str, Any], worse: dict[str, Any]
) -> None:
    assert order_of(a_candidate("worse", **worse), a_candidate("better", **better)) == ["better", "worse"]


def test_each_part_is_what_its_formula_says() -> None:
    account = an_account("a", fee_bps=150, fee_minor=25, home_currencies=frozenset({"EUR"}))
    found = score(account.terms, able(voids=False), Record(80, 76, 600.0), Pool(rate=0.9, mean_ms=1_000), TEN_EUROS)

    assert found.success == pytest.approx((76 + PRIOR_CALLS * 0.9) / 100)
    assert found.response_time == pytest.approx(1 - (600 * 80 + 1_000 * PRIOR_CALLS) / 100 / 15_000)
    assert found.fee == pytest.approx(1 / (1 + 10 * (0.015 + 25 / 1000)))
    assert found.geography == 1.0
    assert found.features == pytest.approx(5 / 6)
    assert found.total == round(0.4 * 0.94 + 0.25 * found.response_time + 0.2 * found.fee + 0.1 + 0.05 * 5 / 6, 3)


def test_a_card_that_is_only_kept_is_worth_no_fee_and_has_no_home() -> None:
    account = an_account("a", fee_bps=900, home_currencies=frozenset({"EUR"}))

    found = score(account.terms, able(), Record(), NOTHING_KNOWN, None)

    assert (found.fee, found.geography) == (1.0, 0.5)


def test_a_new_account_is_neither_starved_nor_flooded() -> None:
    """It is taken for the average of the others, so the tenant's order decides, until its own calls do."""
    proven, new = a_candidate("proven", Record(1_000, 950, 400)), a_candidate("new")
    assert order_of(proven, new) == ["proven", "new"]
    assert order_of(new, proven) == ["new", "proven"]

    lucky = replace(new, record=Record(1, 1, 400))
    assert order_of(a_candidate("better", Record(1_000, 980, 400)), lucky) == ["better", "new"]

    failing = replace(new, record=Record(10, 2, 400))
    assert order_of(failing, proven) == ["proven", "new"]


def test_a_cheaper_account_is_asked_first_until_its_calls_fail() -> None:
    dear, cheap = a_candidate("dear", Record(1_000, 950, 400), fee_bps=290), a_candidate("cheap", fee_bps=140)

    assert order_of(dear, cheap) == ["cheap", "dear"]
    assert order_of(dear, replace(cheap, record=Record(40, 20, 400))) == ["dear", "cheap"]


def test_a_choice_can_be_kept_and_told_with_all_its_reasons() -> None:
    away = a_candidate("away", Record(40, 10, 900.0, is_away=True))
    route = choose([away, a_candidate("stripe", Record(100, 98, 412.4), fee_bps=150)], CARD_NEED)

    told = json.loads(json.dumps(route.document()))

    assert told["chosen"] == "stripe"
    assert told["leftOut"] == [{"provider": "away", "why": "its breaker is open"}]
    [ranked] = told["ranked"]
    assert ranked["score"] == route.ranked[0].score.total
    assert set(WEIGHTS) < set(ranked)
    assert (ranked["calls"], ranked["successes"], ranked["meanMs"]) == (100, 98, 412)


@pytest.mark.parametrize(
    ("outcome", "counts"),
    [
        (Captured("r", Money(1, "EUR")), True),
        (Challenged("r", Challenge("https://psp.example")), True),
        (Pending("r", timedelta(days=1)), True),
        (Declined(DeclineReason.EXPIRED_CARD, "r"), None),
        (Declined(DeclineReason.DO_NOT_HONOR, "r", soft=True), False),
        (Unanswered("timed out"), False),
        (NotSent("no connection"), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_psp_is_judged_by_its_verdicts_and_not_by_the_cards_that_were_typed(
    outcome: PaymentOutcome, counts: bool | None
) -> None:
    assert counts_for(outcome) is counts
