"""Makes .venv from a lock file: exact versions, every file checked against its hash.

The standard library only, as it runs before anything is installed. Nothing is done when the lock is the one that was
installed last. How packages are reached (mirror, certificate, cache) is the machine's affair, so its pip or uv
configuration stays in force; what could change *what* is installed is overridden.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
VENV: Final = ROOT / ".venv"
PYTHON: Final = VENV / "bin" / "python"
NOTE: Final = VENV / "installed.json"
"""The digests of the locks that were installed, and by which Python."""

RUNTIME: Final = "deploy/requirements.txt"
TEST: Final = "deploy/requirements-test.txt"
COVERS: Final = {RUNTIME: (RUNTIME,), TEST: (TEST, RUNTIME)}
"""The tests' lock holds the very versions of the other: who has it installed has both."""

MEDDLING: Final = frozenset({"PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_PYTHON", "PIP_REQUIREMENT"})
"""Settings that would put packages elsewhere, or other packages here."""


class CannotInstall(RuntimeError):
    """The environment could not be made; says what is missing."""


def ensure(lock: str) -> None:
    """Bring .venv to *lock*, making it first if needed. Raises CannotInstall or CalledProcessError."""
    wanted = _digests(lock)
    if wanted.items() <= _noted().items() and PYTHON.exists():
        return
    print(f"Installing what {lock} locks into .venv (Python {sys.version.split()[0]}) ...", flush=True)
    _make_venv()
    _install(lock)
    NOTE.write_text(json.dumps(wanted))


def _digests(lock: str) -> dict[str, str]:
    # pyproject.toml: the console script and the packages of the checkout itself come from it.
    files = (*COVERS[lock], "pyproject.toml")
    return {"python": sys.version.split()[0]} | {
        name: hashlib.sha256((ROOT / name).read_bytes()).hexdigest() for name in files
    }


def _noted() -> dict[str, str]:
    if not NOTE.exists():
        return {}
    noted: dict[str, str] = json.loads(NOTE.read_text())
    return noted


def _make_venv() -> None:
    """A new .venv of this Python; one of another Python makes way."""
    if PYTHON.exists() and _version_of(PYTHON) == sys.version_info[:2]:
        return
    shutil.rmtree(VENV, ignore_errors=True)
    if _uv():
        _run([_uv(), "venv", "--quiet", "--python", sys.executable, str(VENV)])
    elif importlib.util.find_spec("ensurepip"):
        _run([sys.executable, "-m", "venv", str(VENV)])
    else:
        raise CannotInstall(f"{sys.executable} cannot make a virtual environment: install python3-venv, or uv")


def _install(lock: str) -> None:
    if _uv():
        # Its own configuration may not add to the lock or move the target; its index settings stay.
        # Compiled now: the stack starts a dozen processes at once, and each would do it.
        command = [_uv(), "pip", "install", "--quiet", "--compile-bytecode", "--python", str(PYTHON)]
        try:
            _run([*command, "--require-hashes", "--no-deps", "-r", lock])
            _run([*command, "--no-deps", "--no-build-isolation", "--editable", "."])
        except subprocess.CalledProcessError:
            # uv does not read pip's configuration: a machine may have told pip alone where packages are.
            print("uv could not install it: trying pip", flush=True)
        else:
            return
    if _has_no_pip():
        _run([str(PYTHON), "-m", "ensurepip", "--default-pip"])
    command = [str(PYTHON), "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--no-input"]
    _run([*command, "--require-hashes", "--no-deps", "--only-binary", ":all:", "-r", lock])
    _run([*command, "--no-deps", "--no-build-isolation", "--no-index", "--editable", "."])


def _has_no_pip() -> bool:
    return subprocess.run([PYTHON, "-m", "pip", "--version"], capture_output=True, check=False).returncode != 0


def _uv() -> str:
    return shutil.which("uv") or ""


def _version_of(python: Path) -> tuple[int, ...]:
    said = subprocess.run(
        [python, "-c", "import sys; print(*sys.version_info[:2])"], capture_output=True, text=True, check=False
    )
    return tuple(int(part) for part in said.stdout.split())


def _run(command: list[str]) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in MEDDLING}
    subprocess.run(command, check=True, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL)
