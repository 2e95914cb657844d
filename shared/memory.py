"""Keeps a process's memory to itself: it holds cards for moments, and keys for as long as it lives (PCI DSS 3.3.1)."""

from __future__ import annotations

import ctypes
import os
import resource
import sys
from typing import Final

PR_SET_DUMPABLE: Final = 4
"""prctl(2)."""


def close() -> None:
    """No core of this process or its children from now on, and no looking into its memory; raises OSError.

    A core limit of 0 stops files, but not a core that the kernel pipes to a program (core(5)), nor a debugger or a
    neighbour of the same account who reads /proc/PID/mem and environ: for that it is made undumpable. Children
    inherit both; exec of another program keeps only the limit. Linux knows the second, other systems the first alone.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux" and ctypes.CDLL(None, use_errno=True).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
