"""Runs processes as an account may that is not root: one may look into another, unless that is closed to it.

As root they do without the rights that open every process. Both, who looks and who is looked at: nobody may look
into a process that has more rights.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from typing import Final

PR_CAPBSET_DROP: Final = 24
LOOKS: Final = (19, 21, 38)
"""CAP_SYS_PTRACE, CAP_SYS_ADMIN and CAP_PERFMON: each lets its holder look into any process. What a program may do
that root starts is bounded by this set (capabilities(7))."""


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run *script* to its end."""
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        preexec_fn=give_up,
    )


def can_read(path: str) -> bool:
    """Whether such an account may read *path*."""
    return run("import sys; open(sys.argv[1], 'rb').read(1)", path).returncode == 0


def give_up() -> None:
    """For preexec_fn: give up those rights for the program that is started; nothing for who has none."""
    if os.geteuid() != 0:
        return
    for capability in LOOKS:
        ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
