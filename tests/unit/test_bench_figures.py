"""A figure of the bench says what was measured, how far it scatters, and whether its goal is reached or not."""

from __future__ import annotations

import pytest

from deploy.measure import report, spread
from deploy.measure.figures import GOALS, Figure, Verdict


def test_the_middle_of_a_row_is_not_moved_by_one_bad_window() -> None:
    seen = spread.of([100.0, 103.0, 9.0, 101.0, 102.0])

    assert (seen.middle, seen.least, seen.greatest) == (101.0, 9.0, 103.0)


def test_a_ratio_is_of_the_medians_and_scatters_as_its_pairs_do() -> None:
    seen = spread.ratio([50.0, 60.0, 90.0], [100.0, 100.0, 120.0])

    assert (seen.middle, seen.least, seen.greatest) == (0.6, 0.5, 0.75)


@pytest.mark.parametrize(
    ("theirs", "why"), [([], "shorter"), ([1.0], "shorter"), ([0.0, 0.0], "nothing to compare with")]
)
def test_there_is_no_ratio_to_what_was_not_measured_beside(theirs: list[float], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        spread.ratio([1.0, 2.0], theirs)


def test_numbers_are_cut_to_what_can_be_known_of_them() -> None:
    assert spread.rounded({"a": [1234.567, 7], "b": ("text", 0.000123456)}) == {
        "a": [1235.0, 7],
        "b": ["text", 0.0001235],
    }


@pytest.mark.parametrize(
    ("name", "ours", "theirs", "verdict"),
    [
        ("admission / floor", [60.0], [100.0], Verdict.REACHED),
        ("admission / floor", [59.0], [100.0], Verdict.MISSED),
        ("memory of an API process", [150.0], [], Verdict.REACHED),
        ("memory of an API process", [151.0], [], Verdict.MISSED),
        ("round trips of a whole order", [8.0], [], Verdict.MISSED),
        ("something nobody set a goal for", [1.0], [], Verdict.NO_GOAL),
    ],
)
def test_a_figure_with_a_reference_is_judged_by_its_ratio_and_any_other_by_itself(
    name: str, ours: list[float], theirs: list[float], verdict: Verdict
) -> None:
    assert Figure(name, "", ours, theirs).verdict is verdict


def test_what_was_measured_otherwise_than_its_goal_says_is_told_and_not_judged() -> None:
    figure = Figure("growth of the API", "%", [0.5], not_judged="after 10 orders")

    assert figure.verdict is Verdict.NOT_JUDGED
    assert figure.document()["notJudged"] == "after 10 orders"


def test_every_goal_has_a_row_measured_or_not_and_other_figures_follow() -> None:
    missed = Figure("admission / floor", "orders/s", [10.0], [100.0])
    extra = Figure("something else", "ms", [1.0])

    rows = {row[0]: row for row in report.rows([extra, missed])}

    assert list(rows) == [*GOALS, "something else"]
    assert rows["admission / floor"][-1] == Verdict.MISSED
    assert rows["poll / floor"][-1] == Verdict.NOT_MEASURED


def test_the_summary_names_what_fell_short() -> None:
    figures = [Figure("admission / floor", "", [10.0], [100.0]), Figure("poll / floor", "", [90.0], [100.0])]

    said = report.summary(figures)

    assert said.startswith("1 of 2 judged goals reached; MISSED: admission / floor;")
    assert f"{len(GOALS) - 2} not judged or not measured" in said


def test_the_document_holds_every_value_and_what_failed() -> None:
    figures = [Figure("admission / floor", "orders/s", [10.0, 20.0, 30.0], [100.0, 100.0, 100.0])]

    told = report.document({"cores": 2}, {"rounds": 3}, figures, {"drain": "Invalid: of 10 orders 9 are done"})

    [figure] = told["figures"]
    assert figure["oursMeasured"] == [10.0, 20.0, 30.0]
    assert figure["ratio"] == {"median": 0.2, "least": 0.1, "greatest": 0.3}
    assert figure["verdict"] == "MISSED"
    assert "admission / floor" not in told["notMeasured"]
    assert "poll / floor" in told["notMeasured"]
    assert told["failures"] == {"drain": "Invalid: of 10 orders 9 are done"}


@pytest.mark.parametrize(
    ("values", "said"),
    [([1234.0], "1,230"), ([1.0], "1"), ([0.61234, 0.59, 0.7], "0.612 (0.59-0.7)"), ([2.0, 2.0001], "2")],
)
def test_a_spread_is_told_only_where_it_can_be_seen(values: list[float], said: str) -> None:
    assert report.told(spread.of(values)) == said


def test_strangers_are_found_wherever_a_figure_tells_of_them() -> None:
    window = {"ours": {"p50Ms": 1.0, "coresOfStrangers": {"median": 0.5, "least": 0.1}}}
    drains = {"ours": [{"seconds": 1.0, "coresOfStrangers": 0.25}], "naive": [{"coresOfStrangers": 0.0}]}
    figures = [Figure("a", "", [1.0], details=window), Figure("b", "", [1.0], details=drains), Figure("c", "", [1.0])]

    assert sorted(report.strangers(figures)) == [0.0, 0.25, 0.5]
