"""deploy/down: stops the stack of this folder, and ends what a killed one left behind."""

from __future__ import annotations

import argparse
import os
import signal
from typing import Final

from deploy.stack import leftovers, lock
from deploy.stack.home import Home
from deploy.stack.waiting import WaitedInVain, until

WITHIN_S: Final = 90.0
"""The graces of the three stages together (deploy/stack/product.py, postgres.py), and as much again."""


def main(asked: argparse.Namespace) -> int:
    """Run deploy/down; its exit code: 0 when nothing runs any more."""
    home = Home(asked.home)
    supervisor = lock.holder(home.lock_file)
    if supervisor is None:
        left = leftovers.end(home)
        print(f"Ended {', '.join(left)}, left running by a stack that was killed" if left else "Nothing runs here.")
        return 0
    os.kill(supervisor, signal.SIGTERM)
    try:
        until(
            lambda: lock.holder(home.lock_file) != supervisor, f"process {supervisor} has not ended", within_s=WITHIN_S
        )
    except WaitedInVain as vain:
        print(f"deploy/down: {vain}")
        return 1
    print("Stopped.")
    return 0
