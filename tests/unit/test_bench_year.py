"""How the finished orders of the bench's large table lie in time, and what a long filling says of itself."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from deploy.measure.bar import Bar
from deploy.measure.year import MONTHS, Year


@pytest.mark.parametrize("count", [1, 7, 2_000, 10_000_000])
@pytest.mark.parametrize(
    "now",
    [
        datetime(2026, 1, 1, 0, 30, tzinfo=UTC),
        datetime(2026, 11, 26, 3, 15, tzinfo=UTC),
        datetime(2027, 2, 28, 23, 59, tzinfo=UTC),
    ],
)
def test_each_order_is_of_one_month_and_lies_in_it(count: int, now: datetime) -> None:
    year = Year(count, now, "run")
    months = list(year.months())

    assert len(months) == MONTHS
    assert [number for *_, numbers in months for number in (numbers.start, numbers.stop)][1:-1] == [
        number for *_, numbers in months[:-1] for number in (numbers.stop, numbers.stop)
    ]
    assert (months[0][2].start, months[-1][2].stop) == (1, count + 1)
    for begins, ends, numbers in months:
        for number in {*numbers[:2], *numbers[-2:]}:
            ms = year.begins_ms + number * year.span_ms // count
            assert begins.timestamp() * 1_000 <= ms < ends.timestamp() * 1_000


def test_a_bar_tells_into_a_file_how_far_it_is_and_what_is_left() -> None:
    said: list[str] = []
    shown = Bar("filling", 200, None, said.append, say_every_s=0.0)

    shown.show()
    shown.advance(30)
    shown.advance(20)
    shown.show()

    assert said[0].startswith("  filling: 0% after 0 s")
    assert said[1].startswith("  filling: 25% after 0 s, some 0 s left")
