"""The README's SECURITY section says what is promised, what is left to the operator, and how to report."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from deploy.stack import options
from deploy.stack.postgres import SETTINGS

ROOT: Final = Path(__file__).resolve().parents[2]
SECTION: Final = (ROOT / "README.md").read_text().partition("## SECURITY\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize(
    "said",
    [
        "Promised",
        "Yours to do",
        "**TLS**",
        "**Keys**",
        "PCI DSS",
        "CDE",
        "deploy/known-bad.txt",
        "in private",
        "debugger",
    ],
)
def test_the_section_names_what_must_be_known(said: str) -> None:
    assert said in SECTION


def test_what_it_points_to_is_there() -> None:
    assert (ROOT / "deploy" / "known-bad.txt").exists()
    assert {"leaks", "lint"} <= set(options.tiers())


def test_it_asks_of_an_operators_postgres_what_ours_is_set_to() -> None:
    for name in ("log_min_error_statement", "log_error_verbosity"):
        assert f"`{name} = {SETTINGS[name]}`" in SECTION
