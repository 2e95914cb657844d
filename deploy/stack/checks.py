"""deploy/test: the linters, the type checker, the import contracts, the audit, and the tests, tier by tier."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final, TextIO

from deploy.stack import options
from deploy.stack.home import ROOT

BIN: Final = Path(sys.executable).parent
LINT: Final = (
    ("ruff", "check", "."),
    ("ruff", "format", "--check", "."),
    ("mypy",),
    ("lint-imports",),
    ("python", "-m", "deploy.stack.audit"),
)
LONG: Final = "long"
"""Runs by its name alone: it takes hours, and its arguments are deploy/crashtest/long.py's."""
BY_NAME_ALONE: Final = frozenset({"bench", "stress"})
"""Measurements tell of whatever else the machine does, too, so they judge no change; stress is what the other tiers do
once, as often as the list of faults asks for, and takes minutes."""
ALONE: Final = "chaos"
"""Runs after all others, in a process of its own: a run below 20 orders a second is invalid, so nothing of the other
tiers (a stack that stands by, servers, a browser) may take its machine."""
LANES: Final[tuple[tuple[str, ...], tuple[str, ...]]] = (
    ("contract", "crash", "rabbitmq", "browser"),
    ("model", "unit", "integration"),
)
"""Two pytests side by side: on two cores one computes while the other waits for the silence of a PSP, or for a lease of
a process it killed, to end. What is left runs by itself afterwards: it measures promised times."""
NO_TESTS: Final = 5
"""pytest's exit code when nothing was collected: a run that tested nothing has not passed."""


def main(tiers: list[str], pytest_arguments: list[str]) -> int:
    """Run *tiers*, all of them if none is named; 0 only if everything passed."""
    if tiers == [LONG]:
        return _run(sys.executable, "-m", "deploy.crashtest.long", *pytest_arguments)
    known = options.tiers()
    unknown = sorted(set(tiers) - set(known))
    if unknown:
        print(f"deploy/test: no tier named {', '.join(unknown)}; there are {', '.join(known)}")
        return 2
    asked = tiers or [tier for tier in known if tier not in BY_NAME_ALONE]
    first, second = ([tier for tier in lane if tier in asked] for lane in LANES)
    others = [tier for tier in asked if tier not in {"lint", ALONE, *LANES[0], *LANES[1]}]
    failed = [
        *(_lint() if "lint" in asked else []),
        *_side_by_side(first, second, pytest_arguments),
        *_pytest(others, pytest_arguments),
        *_pytest([tier for tier in asked if tier == ALONE], pytest_arguments),
    ]
    print(f"deploy/test: failed: {', '.join(failed)}" if failed else "deploy/test: everything passed")
    return 1 if failed else 0


def _lint() -> list[str]:
    """Run every check, also after one failed; the names of those that did."""
    return [" ".join(check) for check in LINT if _run(BIN / check[0], *check[1:]) != 0]


def _side_by_side(first: list[str], second: list[str], arguments: list[str]) -> list[str]:
    """Both at once; what the second says is told once the first is over."""
    with TemporaryFile("w+") as said, ThreadPoolExecutor(1) as beside:
        told = beside.submit(_pytest, second, arguments, said)
        failed = _pytest(first, arguments)
        failed += told.result()
        said.seek(0)
        print(said.read(), end="", flush=True)
    return failed


def _pytest(tiers: list[str], arguments: list[str], into: TextIO = sys.stdout) -> list[str]:
    """One pytest for all these tiers, so that they share their servers."""
    if not tiers:
        return []
    folders = [f"tests/{tier}" for tier in tiers]
    code = _run(sys.executable, "-m", "pytest", *folders, *arguments, into=into)
    return [] if code == 0 else [f"pytest {' '.join(tiers)}" + (" (no test was run)" if code == NO_TESTS else "")]


def _run(*command: str | Path, into: TextIO = sys.stdout) -> int:
    shown = " ".join([Path(command[0]).name, *map(str, command[1:])])
    print(f"\n--- {shown}", file=into, flush=True)
    started = time.monotonic()
    code = subprocess.run(command, cwd=ROOT, check=False, stdout=into, stderr=subprocess.STDOUT).returncode
    print(
        f"--- {shown}: {'passed' if code == 0 else f'failed ({code})'} in {time.monotonic() - started:.1f} s",
        file=into,
        flush=True,
    )
    return code
