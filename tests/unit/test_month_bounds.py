"""The month a tracking number is of, told without asking anybody."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.ids import first_number_at, new_tracking_number
from shared.store.month_bounds import bounds_of, filler

LAST_MS = round(datetime(9999, 11, 30, tzinfo=UTC).timestamp() * 1000)
MARKED = "SELECT 1 FROM orders WHERE x = %(number)s AND /*in the month of number*/ true"


@given(st.integers(0, LAST_MS))
def test_a_number_lies_between_the_bounds_of_the_month_it_was_minted_in(milliseconds: int) -> None:
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    number = first_number_at(moment)
    bounds = bounds_of(number)
    assert bounds is not None
    begins, ends = bounds
    assert begins == first_number_at(datetime(moment.year, moment.month, 1, tzinfo=UTC))
    assert begins <= number < ends
    assert bounds_of(ends) != bounds
    assert bounds_of(begins) == bounds


@pytest.mark.parametrize(
    "number",
    ["", "trk_none", "trk_" + "x" * 26, "trk_7ZZZZZZZZZZZZZZZZZZZZZZZZZ", "trk_01ARZ3NDEKTSV4RRFFQ69G5FA'", "%s", "\0"],
)
def test_what_is_no_number_of_ours_has_no_month_and_changes_no_text(number: str) -> None:
    assert bounds_of(number) is None
    assert filler(MARKED)({"number": number}) == MARKED


def test_the_text_names_the_month_and_is_the_same_for_all_its_numbers() -> None:
    fill = filler(MARKED)
    texts = {fill({"number": new_tracking_number()}) for _ in range(100)}
    assert len(texts) <= 2, "the month may have ended in between"
    assert all(text.count("'trk_01") == 2 for text in texts)


def test_a_statement_that_names_no_order_stays_as_it_is() -> None:
    assert filler("SELECT 2")({}) == "SELECT 2"
