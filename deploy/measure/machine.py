"""What machine the figures were measured on: without it they mean nothing to anybody else."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import psutil
import psycopg

from deploy.stack import binaries
from deploy.stack.home import ROOT

LIBRARIES: Final = ("gunicorn", "flask", "celery", "kombu", "psycopg", "sqlalchemy", "redis", "gevent")
"""Whose versions move the figures."""
_GIB: Final = 1 << 30


def facts(database_url: str, folder: Path) -> dict[str, Any]:
    """Cores, memory, disk and versions, and how busy the machine was just before. *folder*: where the data lies."""
    with psycopg.connect(database_url) as conn:
        server = conn.info.parameter_status("server_version")
    return {
        "cores": len(os.sched_getaffinity(0)),
        "processor": _processor(),
        "memory": f"{psutil.virtual_memory().total / _GIB:.0f} GiB",
        "disk": _disk_of(folder),
        "Python": platform.python_version(),
        "PostgreSQL": server,
        "Redis": _redis(),
        "kernel": platform.release(),
        "load before": " ".join(f"{value:.2f}" for value in os.getloadavg()),
        "commit": _commit(),
    }


def libraries() -> dict[str, str]:
    """The versions of what ours and the references are built from."""
    return {name: version(name) for name in LIBRARIES}


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.+)", info.read_text()) if info.exists() else None
    return found[1].strip() if found else platform.machine()


def _disk_of(folder: Path) -> str:
    """The file system commits go to: on one in memory they would cost nothing."""
    mounts = [part for part in psutil.disk_partitions(all=True) if folder.is_relative_to(part.mountpoint)]
    return max(mounts, key=lambda part: len(part.mountpoint)).fstype if mounts else "unknown"


def _redis() -> str:
    said = subprocess.run(
        [binaries.redis_server(), "--version"], capture_output=True, text=True, check=False, timeout=10
    )
    found = re.search(r"v=(\S+)", said.stdout)
    return found[1] if found else "unknown"


def _commit() -> str:
    said = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=10
    )
    return said.stdout.strip() or "unknown"
