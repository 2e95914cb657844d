"""The costs of plans come out of a report of deploy/bench as it writes one; a bad file is refused with its reason."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from deploy.measure import costs as command
from deploy.measure import report
from deploy.measure.figures import Figure
from deploy.measure.parts import admission, cost, drain, served
from deploy.measure.parts.cost import Cost
from deploy.measure.parts.drained import Drained
from deploy.measure.parts.outcome import Outcome
from deploy.measure.parts.served import Window
from deploy.measure.rivals import programs
from deploy.measure.traffic import Load
from deploy.measure.usage import Usage
from shared.planning import bench_report, costs
from shared.planning.costs import NoCosts

MACHINE: Final = {"cores": 2, "commit": "abc"}


def a_window(**ms: float) -> Window:
    """A thousand requests, each of which took so many milliseconds of each process."""
    used = {"server": 1.0, "postgres": 0.5, "redis-broker": 0.1, "redis-vault": 0.2, "bench": 9.0, "wrk": 9.0, **ms}
    return Window(Load(1_000, 1.0, 1.0, 2.0, 3.0, wrk_s=0.1), Usage(used, sum(used.values()) + 0.3, 1.0))


def a_drain(payment_s: float) -> Drained:
    """A thousand orders."""
    used = {"worker-offer-lock": 2.0, "worker-payment": payment_s, "postgres": 3.0, "psp": 9.0, "redis-vault": 0.1}
    return Drained(1_000, 10.0, Usage(used, sum(used.values()), 10.0), 0.1)


def a_report(*left_out: str) -> dict[str, Any]:
    """A report as deploy/bench writes it, by its own hands; *left_out*: figures that were not measured."""
    outcome = Outcome()
    outcome.figures += admission._figures(
        {name: [a_window()] for name in ("ours", programs.FLOOR, programs.NAIVE)}
    ).figures
    polls = {name: [a_window(server=0.4)] for name in ("ours", "floor", "304")}
    outcome.add("poll / floor", "polls/s", [1.0], [1.0], details=served.details(polls))
    ways = ("ours", "naive", "naive without results", "a worker a queue")
    drains = {name: [a_drain(4.0), a_drain(6.0), a_drain(5.0)] for name in ways}
    outcome.figures += drain._figures(drains, drains).figures
    one = Cost(statements=2, transactions=1, round_trips=3, wal_bytes=4_000, messages=1)
    outcome.figures += cost._figures((one, one + one), (one, one)).figures
    for name, value in (
        ("disk of a whole order", 5_000.0),
        ("memory of a waiting message", 1_000.0),
        ("memory of a sealed card", 300.0),
    ):
        outcome.add(name, "bytes", [value])
    figures: list[Figure] = [figure for figure in outcome.figures if figure.name not in left_out]
    return json.loads(json.dumps(report.document(MACHINE, {"quick": False}, figures, {})))  # type: ignore[no-any-return]


def written(path: Path, document: Mapping[str, Any]) -> Path:
    path.write_text(json.dumps(document))
    return path


def test_a_report_tells_the_costs_of_the_product_and_of_nothing_beside_it() -> None:
    told = bench_report.read(a_report())

    assert told.admission_ms == {"api": 1.0, "postgres": 0.5, "redis-broker": 0.1, "redis-vault": 0.2}
    assert told.poll_ms["api"] == 0.4
    assert told.queues() == {"offer-lock": 2.0, "payment": 5.0}  # The middle of three drains.
    assert told.order.round_trips == 9
    assert (told.disk_bytes, told.message_bytes, told.card_bytes) == (5_000, 1_000, 300)
    assert told.cores_of_strangers == pytest.approx(0.3)
    assert told.measured_on == MACHINE


def test_what_an_order_costs_counts_its_polls() -> None:
    told = bench_report.read(a_report())

    assert told.an_order("redis-vault") == pytest.approx(0.2 + 0.1)
    assert told.an_order("redis-vault", polls=30) == pytest.approx(0.3 + 30 * 0.2)


def test_costs_that_were_written_are_read_again_as_they_were(tmp_path: Path) -> None:
    told = bench_report.read(a_report())

    command.write(told, tmp_path / "costs.json")

    assert bench_report.load(tmp_path / "costs.json") == told
    assert costs.load(tmp_path / "costs.json") == told


@pytest.mark.parametrize(
    "missing", [bench_report.ADMISSION, bench_report.POLLS, bench_report.DRAIN, bench_report.COUNTED, bench_report.CARD]
)
def test_a_report_without_a_part_says_which_and_what_measures_it(tmp_path: Path, missing: str) -> None:
    with pytest.raises(NoCosts, match=f"not measured: {missing}; `deploy/bench --only"):
        bench_report.load(written(tmp_path / "bench.json", a_report(missing)))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("no JSON", "not JSON"),
        ("[]", "not a JSON object"),
        ('{"figures": [{"nam": 1}]}', "not a report of `deploy/bench"),
        ('{"figures": 7}', "not a report of `deploy/bench"),
        ("{}", "measuredOn: Field required"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_a_file_of_something_else_is_refused_in_words(tmp_path: Path, content: str, why: str) -> None:
    path = tmp_path / "bench.json"
    path.write_text(content)

    with pytest.raises(NoCosts, match=why):
        bench_report.load(path)


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("cardBytes", 0, "cardBytes: Input should be greater than 0"),
        ("pollMs", {"api": -1}, "pollMs.api: Input should be greater"),
        ("orderMs", {"worker-offer-lock": 1}, "no worker of the queue payment"),
        ("admissionMs", {"redis-broker": 1}, "nothing is told of api"),
    ],
)
def test_costs_no_plan_can_be_made_of_are_refused(tmp_path: Path, name: str, value: object, why: str) -> None:
    document = dict(costs.document(bench_report.read(a_report()))) | {"pollMs": {}, name: value}

    with pytest.raises(NoCosts, match=why):
        bench_report.load(written(tmp_path / "costs.json", document))


def test_a_file_too_long_to_be_one_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    path.write_bytes(b" " * (costs.LARGEST + 1))

    with pytest.raises(NoCosts, match="longer than"):
        bench_report.load(path)


def test_the_command_that_takes_a_report_refuses_another_file_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = costs.OURS.read_bytes()

    assert command.main([str(written(tmp_path / "bench.json", a_report(bench_report.POLLS)))]) == 1
    assert command.main(["--help"]) == 2
    assert capsys.readouterr().out.startswith("Nothing was written: not measured: poll / floor")
    assert costs.OURS.read_bytes() == before
