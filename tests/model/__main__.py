"""Explores the payment model as far as asked: for the long run, and for whoever changes the protocol."""

from __future__ import annotations

import argparse
import sys

from tests.model.bugs import Bug, Setting
from tests.model.graph import explore
from tests.model.payment import model

MOST = 20_000_000
"""About 10 GB of states; past it the machine is the limit, not the protocol."""


def main() -> int:
    """0 if no promise was broken under either memory of the PSP."""
    parser = argparse.ArgumentParser(prog="python -m tests.model", description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--faults", type=int, default=2)
    parser.add_argument("--psps", type=int, default=2, help="how many the order may be paid at")
    parser.add_argument("--slips", action="store_true", help="a request may leave after its sender's last look")
    parser.add_argument("--silent", action="store_true", help="the PSP cannot be asked")
    parser.add_argument("--bug", action="append", default=[], choices=[bug.name for bug in Bug], help="plant a bug")
    asked = parser.parse_args()
    reports = []
    for remembers in (True, False):
        setting = Setting(
            remembers_declines=remembers,
            workers=asked.workers,
            faults=asked.faults,
            psps=asked.psps,
            slips=asked.slips,
            looks_up=not asked.silent,
            bugs=frozenset(Bug[name] for name in asked.bug),
        )
        reports.append(explore(model(setting), most=MOST))
        sys.stdout.write(f"{'sticky' if remembers else 'forgetful'} PSP: {reports[-1]}\n")
    return int(any(report.found for report in reports))


if __name__ == "__main__":
    sys.exit(main())
