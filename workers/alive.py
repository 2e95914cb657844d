"""Says whether a worker of this machine lives, for probes: `python -m workers.alive --within 30` exits 0 or 1.

By the age of the file it touches every second while it is connected (liveness.py, C2A_HEARTBEAT_FILE). To decide
whether work may be sent its way (readiness), allow three seconds; to decide whether to kill it (liveness), more than
the longest outage of the broker that is to be sat out: a worker that waits for its broker is well. The standard library
alone: a probe is asked often and starts a Python each time.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path


def age_s(file: Path) -> float | None:
    """How long ago the worker touched *file*; None if there is none: it starts, or stopped in order."""
    try:
        return time.time() - file.stat().st_mtime
    except FileNotFoundError:
        return None


def main() -> int:
    """0 if the worker touched its file lately, 1 if not, 2 if nobody said where the file is."""
    parser = argparse.ArgumentParser(prog="python -m workers.alive", description="Whether a worker lives.")
    parser.add_argument("--within", type=float, default=3.0, metavar="S", help="seconds it may be silent (default: 3)")
    parser.add_argument("--file", default=os.environ.get("C2A_HEARTBEAT_FILE"), help="default: C2A_HEARTBEAT_FILE")
    asked = parser.parse_args()
    if asked.file is None:
        parser.error("name the file, or set C2A_HEARTBEAT_FILE")
    age = age_s(Path(asked.file))
    return 0 if age is not None and age <= asked.within else 1


if __name__ == "__main__":
    sys.exit(main())
