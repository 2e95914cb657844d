"""Three long runs are judged together: what they went through must be enough to say anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deploy.crashtest import long


def report(orders: int, kills: int, crashes: int, **violations: int) -> dict[str, Any]:
    return {
        "orders": orders,
        "kills": kills,
        "faults": {long.POSTGRES: crashes, "API killed": kills},
        "violationsTotal": violations,
    }


def test_runs_are_summed() -> None:
    done = long.totals([report(20_000, 150, 20), report(31_000, 260, 31, I1=2)])
    assert done == {"orders": 51_000, "kills": 410, "PostgreSQL crashes": 51, "violations": 2}


@pytest.mark.parametrize(
    ("documents", "minutes", "below"),
    [
        ([report(50_000, 400, 50)], 90.0, False),
        ([report(49_999, 400, 50)], 90.0, True),
        ([report(50_000, 399, 50)], 90.0, True),
        ([report(50_000, 400, 49)], 90.0, True),
        ([], 90.0, True),
        ([report(1_000, 4, 1)], 5.0, False),
    ],
)
def test_a_full_length_below_its_floors_is_not_clean(
    documents: list[dict[str, Any]], minutes: float, *, below: bool
) -> None:
    assert long._told(documents, minutes) is below


def test_the_last_report_of_each_seed_counts(tmp_path: Path) -> None:
    for name, orders in (("20261125-100000-7", 1), ("20261125-110000-7", 2)):
        folder = tmp_path / "7" / "crashtest" / name
        folder.mkdir(parents=True)
        (folder / "report.json").write_text(json.dumps(report(orders, 0, 0)))
    assert [one["orders"] for one in long.reports(tmp_path, [7, 8])] == [2]
