"""`c2a plan` answers in a table or in JSON, names the option at fault, and exits by whether the plan holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner, Result

from shared.cli.main import main
from shared.planning import costs, scale_table
from shared.planning.scale_table import PSP_MS, RATES, NoTable

README: Final = (Path(__file__).resolve().parents[2] / "README.md").read_text()
SECTION: Final = README.partition("## SCALE\n")[2].partition("\n## ")[0]


def c2a(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["plan", *map(str, arguments)], env={"COLUMNS": "200"})


def said(*arguments: object) -> dict[str, Any]:
    result = c2a(*arguments, "--json")
    assert result.exit_code == 0, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def test_a_plan_for_people_says_what_to_start_what_is_full_first_and_whether_it_holds() -> None:
    result = c2a("--orders-per-second", 100, "--psp-ms", 200)

    assert result.exit_code == 0
    for told in (
        "celery -A workers.main worker -Q payment,offer-lock,tokenization -P ",
        "python -m api.main --workers",
        "Full first: ",
        "Measured: ",
        "Assumed: ",
        "A simulated run (seed 1)",
        "Submit to DONE: p50 ",
        "The plan holds.",
    ):
        assert told in result.stdout


def test_a_plan_for_scripts_is_one_document_with_its_simulated_run() -> None:
    told = said("--orders-per-second", 1_000, "--psp-ms", 350, "--polls-per-order", 5)

    assert told["holds"] is True
    assert told["asked"]["pollsPerOrder"] == 5
    assert {pool["name"] for pool in told["pools"]} >= {"api", "payment", "upkeep"}
    assert {part["name"] for part in told["parts"]} >= {"PostgreSQL", "broker", "vault"}
    assert told["simulation"]["faults"] == []
    assert told["simulation"]["submitToDoneMs"]["p99"] > 350


def test_a_plan_that_does_not_hold_says_why_and_exits_by_it() -> None:
    result = c2a("--orders-per-second", 100, "--psp-ms", 200, "--psp-limit-per-second", 50, "--json")

    assert result.exit_code == 3
    assert json.loads(result.stdout)["holds"] is False
    assert result.stderr.startswith("The plan does not hold. PSP: it carries 45 of 100 orders/s")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--orders-per-second", "0"),
        ("--orders-per-second", "many"),
        ("--psp-ms", "20000"),
        ("--polls-per-order", "-1"),
        ("--psp-limit-per-second", "0"),
        ("--availability", "0.99"),
        ("--postgres-cores", "0"),
        ("--wal-mb-per-second", "0"),
        ("--costs", "/nowhere/bench.json"),
        ("--seed", "-1"),
    ],
)
def test_an_option_at_fault_is_named(option: str, value: str) -> None:
    right = {"--orders-per-second": "10", "--psp-ms": "200"} | {option: value}

    result = c2a(*(word for pair in right.items() for word in pair))

    assert result.exit_code == 2
    assert option in result.stderr


@pytest.mark.parametrize("option", ["--orders-per-second", "--psp-ms"])
def test_what_cannot_be_guessed_is_asked_for(option: str) -> None:
    others = {"--orders-per-second": "10", "--psp-ms": "200"}
    others.pop(option)

    result = c2a(*(word for pair in others.items() for word in pair))

    assert result.exit_code == 2
    assert f"Missing option '{option}'" in result.stderr


def test_a_file_that_tells_no_costs_is_refused_by_the_option_that_named_it(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    path.write_text("{}")

    result = c2a("--orders-per-second", 10, "--psp-ms", 200, "--costs", path)

    assert result.exit_code == 1
    assert result.stderr.startswith("Error: --costs: ")


def test_help_shows_examples_and_exit_codes() -> None:
    result = c2a("--help")

    assert "c2a plan --orders-per-second 100 --psp-ms 200" in result.stdout
    assert "Exit codes:" in result.stdout


def test_the_readme_shows_what_the_command_says_now() -> None:
    """After new costs: `python -m deploy.measure.costs`."""
    assert "\n".join(scale_table.rows(costs.load())) in SECTION


@pytest.mark.parametrize(("place", "rate"), list(enumerate(RATES)))
def test_the_readmes_shards_and_processes_are_those_of_the_commands_json(place: int, rate: int) -> None:
    told = said("--orders-per-second", rate, "--psp-ms", PSP_MS)
    lines = (line.strip("| ").split(" | ") for line in SECTION.splitlines() if line.startswith("| "))
    row = {name: values[place] for name, *values in lines if len(values) == len(RATES)}

    assert row["shards of tenants, each an installation"] == f"{told['shards']:,}"
    api = next(pool for pool in told["pools"] if pool["name"] == "api")
    assert row["processes: API"] == f"{told['shards'] * api['processes']:,}"
    assert row["full first, in one installation"].startswith(told["firstFull"]["name"])


def test_a_renewed_table_stands_where_the_old_one_stood() -> None:
    old = f"before\n\n{scale_table.HEAD}\n{scale_table.RULE}\n| out | of | date | . |\n\nafter\n"

    renewed = scale_table.renewed(old, costs.load())

    assert renewed == "before\n\n" + "\n".join(scale_table.rows(costs.load())) + "\n\nafter\n"
    with pytest.raises(NoTable):
        scale_table.renewed("no table", costs.load())
