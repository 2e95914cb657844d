"""deploy/test long: crash tests of half an hour on a fresh stack each, one a seed.

Not a part of every run: it is what a release is judged by (at least 50,000 orders, 400 kills and 50 crashes of
PostgreSQL over three seeds). Each seed gets a stack of its own, so that a failing one can be kept as it is.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from deploy.stack.home import ROOT
from deploy.stack.options import BROKERS

CHALLENGE_LIFE_S: Final = "20"
"""Abandoned challenges end within a run's rest."""
SEEDS: Final = 3
STACK_WITHIN_S: Final = 180
FULL_MIN: Final = 90.0
FLOORS: Final = {"orders": 50_000, "kills": 400, "PostgreSQL crashes": 50}
"""What three runs of half an hour must have gone through together to say anything."""
POSTGRES: Final = "Postgres killed"
SETTINGS: Final = frozenset({"DATABASE_URL", "BROKER_URL", "VAULT_URL"})
"""Servers somebody else may use are never hurt."""


def main(arguments: list[str]) -> int:
    """Every seed, even after one failed; the worst exit code of `c2a crashtest`, and 2 for a run below the floors."""
    asked = _parser().parse_args(arguments)
    seeds = asked.seed or [secrets.randbelow(10**6) for _ in range(SEEDS)]
    folder: Path = asked.out.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    ended = {seed: _run(folder / str(seed), seed, asked) for seed in seeds}
    for seed, code in ended.items():
        ending = "clean" if code == 0 else f"exit code {code}"
        print(f"seed {seed}: {ending}; records in {folder / str(seed) / 'crashtest'}")
    below = _told(reports(folder, seeds), asked.minutes * len(seeds))
    return 1 if 1 in ended.values() else max(2 * below, *ended.values())


def reports(folder: Path, seeds: list[int]) -> list[dict[str, Any]]:
    """The last report of each seed that came to one."""
    found = [sorted((folder / str(seed) / "crashtest").glob("*/report.json")) for seed in seeds]
    return [json.loads(paths[-1].read_text()) for paths in found if paths]


def totals(documents: list[dict[str, Any]]) -> dict[str, int]:
    """What all runs did together, in the terms of the floors."""
    return {
        "orders": sum(one["orders"] for one in documents),
        "kills": sum(one["kills"] for one in documents),
        "PostgreSQL crashes": sum(one["faults"].get(POSTGRES, 0) for one in documents),
        "violations": sum(sum(one["violationsTotal"].values()) for one in documents),
    }


def _told(documents: list[dict[str, Any]], minutes: float) -> bool:
    """Tell the sums; whether they are below the floors, for a run of the full length."""
    done = totals(documents)
    print("together: " + ", ".join(f"{count} {name}" for name, count in done.items()))
    if done["orders"] and not done["violations"]:
        print(f"0 violations in {done['orders']} orders: a true rate below {3 / done['orders']:.4%} (95 %)")
    below = [f"{done[name]} {name}, floor {floor}" for name, floor in FLOORS.items() if done[name] < floor]
    if minutes < FULL_MIN:
        print(f"shorter than {FULL_MIN:g} min together: not held to the floors")
        return False
    for line in below:
        print(f"below its floor: {line}")
    return bool(below)


def _run(home: Path, seed: int, asked: argparse.Namespace) -> int:
    environment = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    environment["C2A_CHALLENGE_LIFE_S"] = CHALLENGE_LIFE_S
    stack = (sys.executable, "-m", "deploy.stack")
    up = subprocess.run(
        [*stack, "up", "--home", str(home), "--reset", "--detach", "--no-demo", "--broker", asked.broker],
        cwd=ROOT,
        env=environment,
        check=False,
        timeout=STACK_WITHIN_S,
    )
    if up.returncode != 0:
        return 2
    crash = (str(Path(sys.executable).with_name("c2a")), "crashtest", "--stack", str(home / "stack.json"))
    options = ("--minutes", str(asked.minutes), "--seed", str(seed), "--rate", str(asked.rate))
    try:
        return subprocess.run([*crash, *options], cwd=ROOT, env=environment, check=False).returncode
    finally:
        subprocess.run([*stack, "down", "--home", str(home)], cwd=ROOT, check=False, timeout=STACK_WITHIN_S)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="deploy/test long --", description="Long crash tests, one a seed.")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--rate", type=float, default=25.0, help="orders a second")
    parser.add_argument(
        "--seed", type=int, action="append", help="may be given more than once; default: three new ones"
    )
    parser.add_argument("--broker", choices=BROKERS, default=BROKERS[0], help="what the stacks run on")
    parser.add_argument("--out", type=Path, default=ROOT / ".local" / "long", help="where stacks and records are kept")
    return parser


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
