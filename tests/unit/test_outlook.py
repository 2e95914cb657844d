"""When an order's turn comes is read off a count of those before it, and told within bounds."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.outlook import FORESEEN_MS, Line, Outlook
from workers.drain import AT_LEAST_S, AT_MOST_S, ENOUGH, STILL_S, Drain
from workers.foresight import MOST_POINTS, points

NOW_MS = 1_795_656_578_131
COUNTED = st.lists(
    st.tuples(st.integers(0, 9_000).map(lambda n: NOW_MS - 32 * n), st.integers(1, 2_000)),
    min_size=1,
    unique_by=lambda pair: pair[0],
).map(sorted)
"""Moments and how many wait of each."""


def a_line(moments: list[tuple[int, int]], per_s: float | None = 10.0) -> Line:
    """A line of those."""
    return Line(per_s=per_s, points=points(moments, NOW_MS))


@given(COUNTED)
def test_all_who_were_counted_stand_before_one_that_is_minted_at_the_count(moments: list[tuple[int, int]]) -> None:
    line = a_line(moments)
    assert line.length == sum(orders for _, orders in moments)
    assert line.before(NOW_MS) == line.length


@given(COUNTED, st.lists(st.integers(-500_000, 5_000), min_size=2))
def test_whoever_came_later_waits_no_shorter(moments: list[tuple[int, int]], minted: list[int]) -> None:
    line = a_line(moments)
    waits = [line.wait_s(NOW_MS + ms, 0.0) or 0.0 for ms in sorted(minted)]
    assert waits == sorted(waits)
    assert waits[0] > 0


@given(COUNTED)
def test_what_is_told_is_bounded_and_true_at_its_points(moments: list[tuple[int, int]]) -> None:
    told = points(moments, NOW_MS)
    assert len(told) <= MOST_POINTS * 2 + 10
    for moment_ms, older in told[: [ms for ms, _ in told].index(NOW_MS)]:
        assert older == sum(orders for start, orders in moments if start + 32 <= moment_ms)


def test_within_a_moment_orders_came_evenly() -> None:
    line = a_line([(NOW_MS - 10_240, 100)])
    assert line.before(NOW_MS - 10_240 + 16) == 50


def test_newcomers_since_the_count_are_reckoned_with_but_not_for_ever() -> None:
    line = a_line([(NOW_MS - 32 * n, 32) for n in range(100, 0, -1)])
    assert line.before(NOW_MS + 1_000) == pytest.approx(line.length + 1_000, rel=0.01)
    assert line.before(NOW_MS + 3_600_000) == line.before(NOW_MS + FORESEEN_MS)


def test_an_old_count_is_worked_off_meanwhile() -> None:
    line = a_line([(NOW_MS - 10_240, 100)], per_s=10.0)
    assert line.wait_s(NOW_MS, 0.0) == pytest.approx(10.1)
    assert line.wait_s(NOW_MS, 4.0) == pytest.approx(6.1)
    assert line.wait_s(NOW_MS, 60.0) == pytest.approx(0.1)


def test_a_line_nobody_measured_or_that_stands_still_tells_nothing() -> None:
    assert a_line([(NOW_MS - 10_240, 100)], per_s=None).wait_s(NOW_MS, 0.0) is None


def test_a_crowd_and_the_others_wait_in_lines_of_their_own() -> None:
    crowd, other = uuid.uuid4(), uuid.uuid4()
    outlook = Outlook(
        turn=Line(per_s=10.0, points=((NOW_MS - 1_000, 0), (NOW_MS, 9))),
        crowd=Line(per_s=10.0, points=((NOW_MS - 1_000, 0), (NOW_MS, 999))),
        crowds=frozenset({crowd}),
    )
    assert outlook.wait_s(crowd, NOW_MS, 0.0) == 100
    assert outlook.wait_s(other, NOW_MS, 0.0) == 1
    assert Outlook.model_validate_json(outlook.model_dump_json()) == outlook


def test_who_has_the_row_of_its_psp_still_to_come_waits_for_all_before_it() -> None:
    tenant = uuid.uuid4()
    line = Line(per_s=1_000.0, points=((NOW_MS - 1_000, 0), (NOW_MS, 800)))
    row = Line(per_s=10.0, points=((NOW_MS - 1_000, 199), (NOW_MS, 999)))
    outlook = Outlook(turn=line, rows={tenant: row})
    assert outlook.wait_s(tenant, NOW_MS, 0.0) == outlook.row_s(tenant, NOW_MS, 0.0) == 100
    assert outlook.wait_s(tenant, NOW_MS, 0.0, is_paid=True) == pytest.approx(0.801)
    assert outlook.wait_s(uuid.uuid4(), NOW_MS, 0.0) == pytest.approx(0.801)


def a_drain() -> Drain:
    """One whose workers' places are filled."""
    drain = Drain()
    drain.went(1, 1.0)
    return drain


@given(st.lists(st.tuples(st.floats(0.5, 5.0), st.integers(0, 500)), min_size=1))
def test_a_pace_is_one_that_was_seen(counts: list[tuple[float, int]]) -> None:
    drain = a_drain()
    for seconds, orders in counts:
        drain.went(orders, seconds)
        if drain.per_s is not None:
            paces = [orders / seconds for seconds, orders in counts]
            assert min(paces) * 0.999 <= drain.per_s <= max(paces) * 1.001


def test_the_time_in_which_the_workers_places_fill_up_tells_no_pace() -> None:
    drain = Drain()
    for orders in (0, 0, 3):
        drain.went(orders, 1.0)
        assert drain.per_s is None
    drain.went(16, 1.0)
    assert drain.per_s == 16


def test_a_pace_follows_what_workers_do_within_enough_orders() -> None:
    drain = a_drain()
    for _ in range(60):
        drain.went(10, 1.0)
    assert drain.per_s == 10
    for _ in range(int(AT_LEAST_S)):
        drain.went(ENOUGH, 1.0)
    assert drain.per_s == ENOUGH


def test_a_line_that_rests_keeps_its_pace_until_it_is_seen_to_stand_still() -> None:
    drain = a_drain()
    drain.went(100, 1.0)
    drain.rests()
    assert drain.per_s == 100
    for _ in range(int(STILL_S)):
        drain.went(0, 1.0)
    assert drain.per_s is None


def test_a_line_that_comes_to_a_stand_has_no_pace_in_the_end() -> None:
    drain = a_drain()
    drain.went(100, 1.0)
    for _ in range(int(AT_MOST_S)):
        drain.went(0, 1.0)
    assert drain.per_s is None
