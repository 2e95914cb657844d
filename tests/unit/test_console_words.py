"""Amounts are said and read without a slip, charts draw what they count, and every action has its form."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from api.ops import charts, words
from api.ops.forms import DOES, WAYS
from api.ops.overview import believed_s
from api.ops.words import NoAmount
from shared.operate.judging import Action
from shared.store.recent_orders import Slot

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("minor", "currency", "said"),
    [
        (1499, "EUR", "14.99 EUR"),
        (5, "EUR", "0.05 EUR"),
        (123_456_789, "EUR", "1,234,567.89 EUR"),
        (500, "JPY", "500 JPY"),
        (1500, "KWD", "1.500 KWD"),
    ],
)
def test_an_amount_is_said_in_its_currencys_own_units(minor: int, currency: str, said: str) -> None:
    assert words.amount(minor, currency) == said
    assert words.minor_of(said.split()[0].replace(",", ""), currency) == minor


def test_an_amount_that_is_not_fixed_yet_is_not_said() -> None:
    assert words.amount(None, None) == ""


@pytest.mark.parametrize("typed", ["", "0", "-1", "1.999", "1e3", "1,5", "inf", "NaN", "٣", "1" * 13])
def test_what_might_be_a_slip_is_no_amount(typed: str) -> None:
    with pytest.raises(NoAmount):
        words.minor_of(typed, "EUR")


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0 s"), (59.9, "59 s"), (61, "1 min 1 s"), (3_700, "1 h 1 min"), (90_000, "1 d 1 h")]
)
def test_an_age_is_said_in_the_two_units_that_count(seconds: float, said: str) -> None:
    assert words.age(NOON - timedelta(seconds=seconds), NOON) == said


def test_stacked_bars_stand_on_each_other_and_never_leave_their_frame() -> None:
    drawn = charts.stacked([Slot(0, done=3, live=2, failed=1), Slot(1), Slot(2, done=7)])
    assert drawn.top == 10
    assert [(one.kind, one.x, one.y, one.height) for one in drawn.blocks] == [
        ("done", 0, 70, 30),
        ("live", 0, 50, 20),
        ("failed", 0, 40, 10),
        ("done", 20, 30, 70),
    ]


def test_where_nothing_happened_nothing_is_drawn() -> None:
    assert charts.stacked([Slot(slot) for slot in range(60)]).blocks == ()


@pytest.mark.parametrize(
    ("most", "top"), [(0, 5), (4, 5), (5, 5), (6, 10), (11, 20), (21, 50), (100, 100), (999, 1000)]
)
def test_an_axis_ends_at_a_number_that_reads_well(most: int, top: int) -> None:
    assert charts.stacked([Slot(0, live=most)]).top == top


def test_a_bar_of_time_grows_by_the_same_step_for_ten_times_as_long() -> None:
    steps = [charts.on_time_scale(10.0**power) for power in range(5)]
    assert steps[0] == 0
    assert {round(after - before, 0) for before, after in pairwise(steps)} == {17}
    assert charts.on_time_scale(10.0**9) == 100


def test_every_action_there_is_has_its_form_and_every_form_does_something() -> None:
    assert set(WAYS) == set(Action)
    assert {way.path for ways in WAYS.values() for way in ways} == set(DOES) - {"replay"}


@pytest.mark.parametrize(("took_s", "believed"), [(0.005, 2.0), (0.3, 6.0), (60.0, 30.0)])
def test_watching_takes_no_more_than_a_twentieth_of_a_connections_time(took_s: float, believed: float) -> None:
    assert believed_s(took_s) == believed
