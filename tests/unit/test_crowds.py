"""Who is a crowd: five times what is usual among the others, and never for a handful of orders."""

from __future__ import annotations

import timeit
from collections.abc import Iterable, Mapping
from typing import Final

import pytest

from shared.config import Settings
from shared.crowds import FADES_IN_S, MOST_TENANTS, Crowds, crowds_among, usual

LEAST: Final = 5
"""As shipped (shared/config.py)."""


def a_minute(rates: Mapping[str, float], seconds: float = 60.0, crowds: Crowds | None = None) -> dict[str, list[bool]]:
    """What is said of each order when tenants send evenly, so many a second."""
    crowds = crowds or Crowds(least=LEAST)
    times = sorted((n / rate, who) for who, rate in rates.items() for n in range(int(rate * seconds)))
    told: dict[str, list[bool]] = {who: [] for who in rates}
    for now, who in times:
        told[who].append(crowds.sends(who, now))
    return told


@pytest.mark.parametrize(
    ("rates", "crowd"),
    [
        ({"a": 50, "b": 1}, {"a"}),
        ({"a": 50, "b": 1, "c": 1, "d": 1}, {"a"}),
        ({"a": 50, "b": 50, "c": 1}, {"a", "b"}),
        ({"a": 50, "b": 50, "c": 1, "d": 1, "e": 2}, {"a", "b"}),
        ({"a": 50}, {"a"}),
        ({"a": 50, "b": 50}, set()),
        ({"a": 50, "b": 40, "c": 30, "d": 20}, set()),
        ({"a": 4, "b": 1, "c": 1}, set()),
        ({"a": 0.4, "b": 0.02, "c": 0.02}, set()),
    ],
)
def test_who_sends_far_more_than_the_others_is_a_crowd_and_nobody_else(
    rates: Mapping[str, float], crowd: Iterable[str]
) -> None:
    told = a_minute(rates)
    assert {who for who, said in told.items() if all(said[len(said) // 2 :])} == set(crowd)
    assert not any(said for who in set(rates) - set(crowd) for said in told[who][len(told[who]) // 2 :])


def test_what_is_tried_here_is_what_is_shipped() -> None:
    assert Settings.model_fields["crowd_orders"].default == LEAST


def test_of_a_burst_the_first_few_are_no_crowds_and_all_the_others_are() -> None:
    crowds = Crowds(least=LEAST)
    crowds.sends("other", 0.0)
    assert [crowds.sends("burst", 0.5) for _ in range(500)] == [False] * LEAST + [True] * (500 - LEAST)
    assert not crowds.sends("other", 0.5)
    assert [crowds.is_one(who, 0.5) for who in ("burst", "other", "nobody")] == [True, False, False]


def test_a_crowd_that_has_gone_is_none_when_it_comes_back() -> None:
    crowds = Crowds(least=LEAST)
    assert [crowds.sends("a", 0.0) for _ in range(60)][-1]
    assert crowds.is_one("a", FADES_IN_S)
    assert not crowds.is_one("a", 3 * FADES_IN_S)
    assert not crowds.sends("a", 3 * FADES_IN_S)


def test_nobody_is_a_crowd_where_that_is_switched_off() -> None:
    assert not any(a_minute({"a": 50, "b": 1}, crowds=Crowds(least=0))["a"])


def test_any_number_of_tenants_is_counted_in_bounded_memory_and_a_crowd_among_them_is_seen() -> None:
    crowds = Crowds(least=LEAST)
    seen = [crowds.sends("crowd" if n % 10 == 0 else f"tenant {n}", n / 10_000) for n in range(20_000)]
    assert len(crowds._counts) <= MOST_TENANTS
    assert any(seen[0::10])
    assert all(seen[1_000::10])
    assert not any(seen[1::10])


@pytest.mark.parametrize(("counts", "middle"), [([], 0), ([9], 0), ([1, 9], 1), ([1, 8, 9], 1), ([1, 2, 3, 9], 2)])
def test_the_usual_is_what_the_middle_one_of_the_others_sends(counts: list[float], middle: float) -> None:
    assert usual(counts) == middle


def test_of_many_orders_at_once_those_are_a_crowds_that_are_far_more_than_anothers() -> None:
    assert crowds_among(["a"] * 500 + ["b"] * 3 + ["c"], LEAST) == {"a"}
    assert crowds_among(["a"] * 500 + ["b"] * 300, LEAST) == set()
    assert crowds_among(["a"] * LEAST, LEAST) == set()
    assert crowds_among([], LEAST) == set()
    assert crowds_among(["a"] * 500, 0) == set()


def test_counting_an_order_takes_a_few_microseconds_whoever_else_is_there() -> None:
    crowds = Crowds(least=LEAST)
    for n in range(MOST_TENANTS):
        crowds.sends(n, 0.0)
    took = timeit.repeat(lambda: crowds.sends("a", 0.5), number=1_000, repeat=5)
    assert min(took) / 1_000 < 20e-6
