"""How often a process of the API looks for garbage that goes round in circles: rarely, and never through all it has.

Every such look stops all requests of the process. What the start made stays for as long as the process lives: 200,000
objects, and Python went through all of them again and again (measured: a tenth of a second, and most of the processor
time of a process in which ten thousand pollers wait). So they are set aside. Of what comes later nearly everything goes
by itself when its request is over, so that looks may be far apart.
"""

from __future__ import annotations

import gc
from typing import Final

YOUNG: Final = 10_000
"""Objects that may be new before a look at them (Python's own: 700): a few hundred requests, a millisecond."""
OLDER: Final = 10
"""As Python has it: so many looks before one that goes further back."""


def settle() -> None:
    """The start is over; once in each process, after it has loaded what it serves."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, OLDER, OLDER)
