"""deploy/test: the linters, the type checker, the import contracts, the audit, and the tests, tier by tier."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import chain
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
LANES: Final[tuple[tuple[str, ...], ...]] = (
    ("integration",),
    ("contract", "crash", "model", "unit"),
    ("leaks", "acceptance", "rabbitmq", "browser"),
)
"""Three pytests side by side: on two cores one computes while the others wait for the silence of a PSP, or for a lease
of a process that was killed, to end. Playwright leaves a loop running, so browser is the last of its lane."""
MEMORY: Final = "C2A_TEST_MEMORY"
"""Names a folder in memory for all that the lanes write: PostgreSQL gives an answer 1.5 s, and a disk that three of
them fill may stand still for longer. What is killed loses no more there. Who runs alone has the disk."""
ALONE: Final = ("timed", "chaos")
"""Each runs after all others, in a process of its own: one measures promised times, and a chaos run below 20 orders a
second is invalid, so nothing of the other tiers (a stack that stands by, servers, a browser) may take their machine."""
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
    lanes = [[tier for tier in lane if tier in asked] for lane in LANES]
    others = [tier for tier in asked if tier not in {"lint", *ALONE, *chain(*LANES)}]
    failed = [
        *(_lint() if "lint" in asked else []),
        *_side_by_side([lane for lane in lanes if lane], pytest_arguments),
        *_pytest(others, pytest_arguments),
        *chain.from_iterable(_pytest([tier], pytest_arguments) for tier in ALONE if tier in asked),
    ]
    print(f"deploy/test: failed: {', '.join(failed)}" if failed else "deploy/test: everything passed")
    return 1 if failed else 0


def _lint() -> list[str]:
    """Run every check, also after one failed; the names of those that did."""
    return [" ".join(check) for check in LINT if _run(BIN / check[0], *check[1:]) != 0]


def _side_by_side(lanes: list[list[str]], arguments: list[str]) -> list[str]:
    """All at once; the first tells as it goes, each of the others once those before it are over."""
    if not lanes:
        return []
    where = os.environ.get(MEMORY)
    with ExitStack() as ends, ThreadPoolExecutor(len(lanes)) as beside:
        said = [ends.enter_context(TemporaryFile("w+")) for _ in lanes[1:]]
        told = [
            beside.submit(_pytest, lane, arguments, into, where) for lane, into in zip(lanes[1:], said, strict=True)
        ]
        failed = _pytest(lanes[0], arguments, where=where)
        for lane, into in zip(told, said, strict=True):
            failed += lane.result()
            into.seek(0)
            print(into.read(), end="", flush=True)
    return failed


def _pytest(tiers: list[str], arguments: list[str], into: TextIO = sys.stdout, where: str | None = None) -> list[str]:
    """One pytest for all these tiers, so that they share their servers; *where*: a folder for what they write."""
    if not tiers:
        return []
    folders = [f"tests/{tier}" for tier in tiers]
    code = _run(sys.executable, "-m", "pytest", *folders, *arguments, into=into, where=where)
    return [] if code == 0 else [f"pytest {' '.join(tiers)}" + (" (no test was run)" if code == NO_TESTS else "")]


def _run(*command: str | Path, into: TextIO = sys.stdout, where: str | None = None) -> int:
    shown = " ".join([Path(command[0]).name, *map(str, command[1:])])
    print(f"\n--- {shown}", file=into, flush=True)
    started = time.monotonic()
    env = os.environ | ({"TMPDIR": where} if where else {})
    code = subprocess.run(command, cwd=ROOT, env=env, check=False, stdout=into, stderr=subprocess.STDOUT).returncode
    print(
        f"--- {shown}: {'passed' if code == 0 else f'failed ({code})'} in {time.monotonic() - started:.1f} s",
        file=into,
        flush=True,
    )
    return code
