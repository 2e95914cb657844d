"""deploy/test long: crash tests of half an hour on a fresh stack each, one a seed.

Not a part of every run: it is what a release is judged by (at least 50,000 orders, 400 kills and 50 crashes of
PostgreSQL over three seeds). Each seed gets a stack of its own, so that a failing one can be kept as it is.
"""

from __future__ import annotations

import argparse
import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Final

from deploy.stack.home import ROOT

CHALLENGE_LIFE_S: Final = "20"
"""Abandoned challenges end within a run's rest."""
SEEDS: Final = 3
STACK_WITHIN_S: Final = 180
SETTINGS: Final = frozenset({"DATABASE_URL", "BROKER_URL", "VAULT_URL"})
"""Servers somebody else may use are never hurt."""


def main(arguments: list[str]) -> int:
    """Every seed, even after one failed; the worst exit code of `c2a crashtest`."""
    asked = _parser().parse_args(arguments)
    seeds = asked.seed or [secrets.randbelow(10**6) for _ in range(SEEDS)]
    folder: Path = asked.out.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    ended = {seed: _run(folder / str(seed), seed, asked.minutes, asked.rate) for seed in seeds}
    for seed, code in ended.items():
        ending = "clean" if code == 0 else f"exit code {code}"
        print(f"seed {seed}: {ending}; records in {folder / str(seed) / 'crashtest'}")
    return 1 if 1 in ended.values() else max(ended.values())


def _run(home: Path, seed: int, minutes: float, rate: float) -> int:
    environment = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    environment["C2A_CHALLENGE_LIFE_S"] = CHALLENGE_LIFE_S
    stack = (sys.executable, "-m", "deploy.stack")
    up = subprocess.run(
        [*stack, "up", "--home", str(home), "--reset", "--detach", "--no-demo"],
        cwd=ROOT,
        env=environment,
        check=False,
        timeout=STACK_WITHIN_S,
    )
    if up.returncode != 0:
        return 2
    crash = (str(Path(sys.executable).with_name("c2a")), "crashtest", "--stack", str(home / "stack.json"))
    asked = ("--minutes", str(minutes), "--seed", str(seed), "--rate", str(rate))
    try:
        return subprocess.run([*crash, *asked], cwd=ROOT, env=environment, check=False).returncode
    finally:
        subprocess.run([*stack, "down", "--home", str(home)], cwd=ROOT, check=False, timeout=STACK_WITHIN_S)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="deploy/test long --", description="Long crash tests, one a seed.")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--rate", type=float, default=25.0, help="orders a second")
    parser.add_argument(
        "--seed", type=int, action="append", help="may be given more than once; default: three new ones"
    )
    parser.add_argument("--out", type=Path, default=ROOT / ".local" / "long", help="where stacks and records are kept")
    return parser


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
