"""How a run of the bench is asked for, and how it takes its turns and its counts."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from deploy.measure import plan
from deploy.measure.figures import GOALS
from deploy.measure.parts.latency import percentile
from deploy.measure.traffic import NUMBER, Kind, Load, lua
from deploy.measure.turns import in_turn, whole_rounds
from deploy.measure.wire import Heard
from deploy.stack import options
from deploy.stack.signals import StopAsked


def test_without_a_word_everything_but_the_large_table_is_measured() -> None:
    asked = options.parser().parse_args(["bench"])

    assert asked.only == list(options.PARTS)
    assert not asked.scale
    assert plan.of(asked).finished == 0


def test_parts_are_measured_in_their_own_order_whatever_the_asking() -> None:
    asked = options.parser().parse_args(["bench", "--only", "drain,memory"])

    assert asked.only == ["memory", "drain"]


@pytest.mark.parametrize("wrong", [["--only", "drains"], ["--rounds", "0"], ["--seconds", "-1"], ["--scale", "0"]])
def test_what_cannot_be_measured_is_refused(wrong: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        options.parser().parse_args(["bench", *wrong])

    assert stopped.value.code == 2


def test_scale_is_ten_million_finished_and_a_hundred_thousand_waiting() -> None:
    sizes = plan.of(options.parser().parse_args(["bench", "--scale"]))

    assert (sizes.finished, sizes.few_finished) == (10_000_000, 10_000)
    assert (sizes.many_waiting, sizes.few_waiting) == (100_000, 1_000)
    assert sizes.remembered == 100_000


def test_a_quick_run_is_smaller_in_everything() -> None:
    quick, whole = (plan.of(options.parser().parse_args(["bench", *more])).document() for more in (["--quick"], []))

    assert all(quick[name] < value for name, value in whole.items() if not name.startswith(("f", "m")))


def test_ways_are_measured_one_after_the_other_and_again() -> None:
    order: list[str] = []

    def measure(name: str) -> float:
        order.append(name)
        return float(len(order))

    ways = {name: partial(measure, name) for name in ("a", "b")}

    seen = in_turn(ways, 3, lambda _number, _name, _value: None)

    assert order == ["a", "b"] * 3
    assert seen == {"a": [1.0, 3.0, 5.0], "b": [2.0, 4.0, 6.0]}


def test_of_what_was_stopped_the_rounds_count_that_all_ways_had() -> None:
    measured: dict[str, list[float]] = {}

    def measure(name: str) -> float:
        if name == "b" and len(measured["b"]) == 1:
            raise StopAsked
        return 1.0

    with pytest.raises(StopAsked):
        in_turn({name: partial(measure, name) for name in ("a", "b")}, 3, lambda *_: None, measured)

    assert measured == {"a": [1.0, 1.0], "b": [1.0]}
    assert whole_rounds(measured) == {"a": [1.0], "b": [1.0]}
    assert whole_rounds({}) == {}


def test_a_percentile_is_a_value_that_was_measured() -> None:
    values = [float(value) for value in range(1, 101)]

    assert [percentile(values, part) for part in (50, 95, 99)] == [50.0, 95.0, 99.0]
    assert percentile([7.0], 99) == 7.0


def test_the_wire_tells_round_trips_statements_and_transactions_apart() -> None:
    heard = Heard("")
    for kind, body in ((b"C", b"BEGIN\0"), (b"Z", b"T"), (b"C", b"INSERT 0 1\0"), (b"Z", b"T"), (b"D", b"C\0Z")):
        heard.note(kind, body)
    for kind, body in ((b"C", b"SELECT 1\0"), (b"C", b"UPDATE 1\0"), (b"Z", b"T"), (b"C", b"COMMIT\0"), (b"Z", b"I")):
        heard.note(kind, body)

    assert (heard.round_trips, heard.statements, heard.transactions) == (4, 3, 1)


def test_a_body_is_cut_where_its_number_goes() -> None:
    said = lua(Kind(80, "POST", ["/orders"], {"x-api-key": "k"}, f'{{"a": "{NUMBER}", "b": "cu.{NUMBER}"}}'))

    assert 'pieces = {"{\\"a\\": \\"", "\\", \\"b\\": \\"cu.", "\\"}"}' in said
    assert 'headers = {["x-api-key"] = "k"}' in said
    assert "pieces = nil" in lua(Kind(80, "GET", ["/a", "/b"]))


def test_a_load_is_told_by_the_second() -> None:
    assert Load(requests=300, seconds=2.0, p50_ms=1, p95_ms=1, p99_ms=1, wrk_s=0).per_second == 150.0


def test_the_readme_tells_the_goals() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()

    assert all(f"| {name} |" in readme for name in GOALS)
