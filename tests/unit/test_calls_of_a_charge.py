"""What a limit counts is calls, so a verb that takes several of them takes as many slots."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shared.psp.http import Http
from shared.psp.port import Account, Channel
from shared.psp.stripe import StripePsp
from shared.psp.traffic.lane import PspLane


@pytest.fixture
def http() -> Iterator[Http]:
    made = Http()
    yield made
    made.close()


def at_stripe(key: str, http: Http) -> StripePsp:
    account = Account("t", "stripe", "acc", "stripe", "http://127.0.0.1:1", frozenset(Channel), {"apiKey": key})
    return StripePsp(account, http)


@pytest.mark.parametrize("calls", [1, 2, 3])
def test_who_makes_several_calls_in_a_turn_takes_as_many_slots_of_the_same_lane(calls: int) -> None:
    lane = PspLane("t", "p", 30.0)
    taken = lane.taking(calls)
    assert taken.interval_s == pytest.approx(calls * lane.interval_s)
    assert taken.name == lane.name


def test_where_no_limit_is_set_none_arises() -> None:
    assert PspLane("t", "p").taking(3).interval_s == 0


@pytest.mark.parametrize(("card", "keeps", "calls"), [(False, False, 1), (True, False, 2), (True, True, 3)])
def test_stripe_is_called_for_the_method_and_the_customer_before_the_charge(
    http: Http, card: bool, keeps: bool, calls: int
) -> None:
    assert at_stripe("sk_test_1", http).capabilities.calls_of(card=card, keeps=keeps) == calls


@pytest.mark.parametrize(("key", "limit"), [("sk_test_1", 25), ("rk_test_1", 25), ("sk_live_1", 100)])
def test_stripe_lets_a_sandbox_make_a_quarter_of_the_calls(http: Http, key: str, limit: int) -> None:
    assert at_stripe(key, http).capabilities.calls_per_s == limit
