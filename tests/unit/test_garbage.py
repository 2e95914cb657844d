"""The API's processes set aside what their start made, and still find the garbage that comes later."""

from __future__ import annotations

import subprocess
import sys

AFTER_A_START = """
import gc, weakref
from api import garbage

class Node:
    pass

def ring():
    one = Node()
    one.itself = one
    return weakref.ref(one)

made_by_the_start = [[] for _ in range(50_000)]
left_by_the_start = ring()
garbage.settle()
assert left_by_the_start() is None, "the start's own garbage is gone"
assert gc.get_freeze_count() > 50_000, "what it made is set aside"
assert len(gc.get_objects()) < 1_000, "and is not gone through again"

left_later = ring()
kept = [[] for _ in range(2 * garbage.YOUNG)]
assert left_later() is None, "what comes later is found"
"""


def test_what_the_start_made_is_set_aside_and_later_garbage_is_found() -> None:
    done = subprocess.run(
        [sys.executable, "-c", AFTER_A_START], capture_output=True, text=True, check=False, timeout=60
    )

    assert done.returncode == 0, done.stderr
