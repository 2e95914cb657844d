"""Writes what a report of deploy/bench says of costs to where `c2a plan` reads them, and the README's table anew.

    python -m deploy.measure.costs .local/bench.json    # new costs, then the table
    python -m deploy.measure.costs                      # the table alone, from the costs that stand

The report is one of `deploy/bench --only admission,polling,drain,cost`, or of a whole run.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from shared.planning import bench_report, costs, scale_table
from shared.planning.costs import NoCosts

README: Final = Path(__file__).resolve().parents[2] / "README.md"


def main(arguments: Sequence[str]) -> int:
    """Do it; the exit code: 0 done, 1 the report tells no costs, 2 called wrongly."""
    if len(arguments) > 1 or any(argument.startswith("-") for argument in arguments):
        print(__doc__)
        return 2
    try:
        if arguments:
            write(bench_report.load(Path(arguments[0])), costs.OURS)
        README.write_text(scale_table.renewed(README.read_text(), costs.load()))
    except (NoCosts, OSError) as trouble:
        print(f"Nothing was written: {trouble}")
        return 1
    return 0


def write(found: costs.Costs, path: Path) -> None:
    """Put *found* into *path*."""
    path.write_text(json.dumps(costs.document(found), indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
