"""Whatever accounts a tenant has and whatever an order needs, these hold of the choice."""

from __future__ import annotations

import random
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from shared.psp.port import Capabilities
from shared.psp.record import Record
from shared.psp.router import Candidate, Need, Route, choose
from shared.psp.scores import PRIOR_CALLS
from tests.support.routing import CARD_NEED, NEEDS, PROVIDERS, RECORDS, a_candidate, able, candidates, usable


def _place(route: Route, provider: str) -> int:
    return [one.provider for one in route.ranked].index(provider)


@given(candidates(), NEEDS)
def test_nobody_is_asked_who_may_not_be(given: list[Candidate], need: Need) -> None:
    for one in choose(given, need).ranked:
        account, can = one.candidate.account, one.candidate.capabilities
        assert can is not None
        assert need.channel in account.channels
        assert need.channel in can.channels
        assert need.provider in (None, account.provider)
        assert account.provider not in need.tried
        assert need.may_add or account.provider in need.again
        assert not one.candidate.record.is_away
        if need.money is not None:
            for taken in (account.terms.currencies, can.currencies):
                assert taken is None or need.money.currency in taken


@given(candidates(), NEEDS)
def test_every_account_is_ranked_or_left_out_for_a_reason_and_never_both(given: list[Candidate], need: Need) -> None:
    route = choose(given, need)

    told = [one.provider for one in route.ranked] + [provider for provider, _ in route.left_out]

    assert sorted(told) == sorted(one.account.provider for one in given)


@given(candidates(), NEEDS)
def test_a_method_that_is_to_be_kept_goes_where_it_is_kept_if_anybody_may_be_asked(
    given: list[Candidate], need: Need
) -> None:
    wanted = choose(given, replace(need, keep_method=True)).ranked
    anybody = choose(given, replace(need, keep_method=False)).ranked

    assert bool(wanted) == bool(anybody) or need.money is None
    keeps = [_can(one.candidate).keeps_methods for one in wanted]
    assert all(keeps) or not any(_can(one.candidate).keeps_methods for one in anybody)
    assert all(keeps) or need.money is not None


@given(candidates(), NEEDS, st.randoms(use_true_random=False))
def test_the_tenants_order_decides_between_equal_accounts_and_nothing_else(
    given: list[Candidate], need: Need, dice: random.Random
) -> None:
    shuffled = given[:]
    dice.shuffle(shuffled)

    one, other = (_keys(choose(order, need), need) for order in (given, shuffled))

    assert [key for _, key in one] == [key for _, key in other]
    tied = {key for _, key in one if [every for _, every in one].count(key) > 1}
    assert [who for who, key in one if key not in tied] == [who for who, key in other if key not in tied]
    places = [one.account.provider for one in given]
    assert one == sorted(one, key=lambda ranked: (ranked[1], places.index(ranked[0])))


def _keys(route: Route, need: Need) -> list[tuple[str, tuple[bool, float]]]:
    return [(one.provider, (one.provider in need.again, -one.score.total)) for one in route.ranked]


@given(candidates(), NEEDS)
def test_every_part_and_every_score_is_from_0_to_1(given: list[Candidate], need: Need) -> None:
    for one in choose(given, need).ranked:
        parts = (one.score.success, one.score.response_time, one.score.fee, one.score.geography, one.score.features)
        assert all(0 <= part <= 1 for part in (*parts, one.score.total))


@given(candidates(), NEEDS)
def test_who_may_not_be_asked_changes_nothing_for_the_others(given: list[Candidate], need: Need) -> None:
    route = choose(given, need)
    names = {one.provider for one in route.ranked}

    alone = choose([one for one in given if one.account.provider in names], need)

    assert [(one.provider, one.score) for one in alone.ranked] == [(one.provider, one.score) for one in route.ranked]


@given(usable(), st.frozensets(st.sampled_from(PROVIDERS)), st.data())
def test_whoever_gets_better_in_one_part_never_ranks_lower(
    given: list[Candidate], again: frozenset[str], data: st.DataObject
) -> None:
    need = replace(CARD_NEED, again=again)
    one = data.draw(st.sampled_from(given))

    after = choose([better(other, data) if other is one else other for other in given], need)

    name = one.account.provider
    assert _place(after, name) <= _place(choose(given, need), name)


def better(one: Candidate, data: st.DataObject) -> Candidate:
    """*one*, better in one thing and equal in the rest."""
    terms, record, can = one.account.terms, one.record, _can(one)
    match data.draw(st.sampled_from(["success", "time", "share", "fixed", "home", "features"])):
        case "success":
            more = data.draw(st.integers(record.successes, record.calls))
            return replace(one, record=replace(record, successes=more))
        case "time":
            return replace(one, record=replace(record, mean_ms=data.draw(st.floats(0, record.mean_ms))))
        case "share":
            cheaper = replace(terms, fee_bps=data.draw(st.integers(0, terms.fee_bps)))
        case "fixed":
            cheaper = replace(terms, fee_minor=data.draw(st.integers(0, terms.fee_minor)))
        case "home":
            cheaper = replace(terms, home_currencies=frozenset({"EUR", "USD", "JPY"}))
        case _:
            return replace(one, capabilities=replace(can, looks_up=True, lists_charges=True, voids=True))
    return replace(one, account=replace(one.account, terms=cheaper))


@given(RECORDS)
def test_an_account_nobody_called_yet_is_taken_for_the_average_of_the_others(known: Record) -> None:
    known = replace(known, is_away=False)
    route = choose([a_candidate("known", known), a_candidate("new")], CARD_NEED)
    scores = {one.provider: one.score for one in route.ranked}

    assert abs(scores["known"].success - scores["new"].success) <= 1 / (known.calls + PRIOR_CALLS)


@given(st.integers(900, 1_000))
def test_one_lucky_call_says_less_than_many_good_ones(successes: int) -> None:
    proven = Record(1_000, successes, 400)

    lucky = choose([a_candidate("proven", proven), a_candidate("lucky", Record(1, 1, 400))], CARD_NEED)

    scores = {one.provider: one.score.success for one in lucky.ranked}
    assert scores["lucky"] - scores["proven"] <= (1 - successes / 1_000) / PRIOR_CALLS


def _can(one: Candidate) -> Capabilities:
    return one.capabilities or able()
