"""A process that may hold cards starts only where they are safe, and then shows its memory to nobody."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import httpx
import psutil
import psycopg
import pytest

from deploy.stack import ports
from deploy.stack import redis as servers
from deploy.stack.home import Home
from deploy.stack.waiting import until
from shared import keyring
from shared.config import Settings
from shared.store import revision
from shared.store.row_security import Role
from tests.support import without_ptrace
from tests.support.own_redis import OwnRedis, own_redis
from tests.support.unsynced import unsynced

ROOT: Final = Path(__file__).parents[2]
API: Final = ("-m", "api.main", "--workers", "1", "--port")
WORKER: Final = (
    *("-m", "celery", "-A", "workers.main", "worker", "-Q", "payment", "-P", "prefork", "-c", "1"),
    *("--without-gossip", "--without-mingle", "--without-heartbeat"),
)
STARTS_WITHIN_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a process of the product is started: its settings and the folder it works in."""

    env: Mapping[str, str]
    folder: Path
    port: int

    def argv(self, kind: str) -> list[str]:
        """The command line of "api" or "worker"."""
        return [sys.executable, *((*API, str(self.port)) if kind == "api" else WORKER)]

    def is_ready(self, kind: str, log: Path) -> bool:
        """Whether it serves."""
        if kind == "worker":
            return " ready." in log.read_text()
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/healthz").status_code == 200
        except httpx.TransportError:
            return False

    @contextmanager
    def running(self, kind: str) -> Iterator[list[psutil.Process]]:
        """One that serves: itself and its children."""
        log = self.folder / "process.log"
        with log.open("w") as out:
            process = subprocess.Popen(
                self.argv(kind),
                cwd=self.folder,
                env=self.env,
                stdout=out,
                stderr=out,
                preexec_fn=without_ptrace.give_up,
            )
        try:
            until(lambda: self.is_ready(kind, log), f"the {kind} serves", within_s=STARTS_WITHIN_S)
            parent = psutil.Process(process.pid)
            yield [parent, *parent.children(recursive=True)]
        finally:
            process.terminate()
            process.wait(STARTS_WITHIN_S)

    def ended(self, kind: str) -> tuple[int, str]:
        """The exit code of one that does not start, and what it said."""
        done = subprocess.run(
            self.argv(kind), cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=STARTS_WITHIN_S
        )
        return done.returncode, done.stderr


@pytest.fixture
def unsafe(tmp_path: Path) -> Iterator[OwnRedis]:
    with own_redis(tmp_path, servers.vault, {"appendonly": "yes"}) as server:
        yield server


@pytest.fixture
def production(settings: Settings, tmp_path: Path) -> Place:
    """Production with keys, on this module's servers, whose vault is safe."""
    keyring.save(keyring.fresh(), tmp_path / "keyring.json")
    env = {name: value for name, value in os.environ.items() if not name.startswith("C2A_")}
    return Place(
        env
        | {
            "DATABASE_URL": settings.database_url.get_secret_value(),
            "BROKER_URL": settings.broker_url.get_secret_value(),
            "VAULT_URL": settings.vault_url.get_secret_value(),
            "C2A_MODE": "production",
            "C2A_KEYRING": str(tmp_path / "keyring.json"),
            "PYTHONPATH": str(ROOT),
        },
        tmp_path,
        ports.kept(Home(tmp_path).make(), "api"),
    )


def where(place: Place, **changed: str) -> Place:
    return replace(place, env={**place.env, **changed})


@pytest.mark.parametrize("kind", ["api", "worker"])
def test_production_does_not_start_on_a_vault_that_persists_and_says_what_to_set(
    production: Place, unsafe: OwnRedis, kind: str
) -> None:
    code, said = where(production, VAULT_URL=unsafe.url).ended(kind)
    assert code == 1
    assert "start.refused" in said
    assert "appendonly no" in said


@pytest.mark.parametrize("kind", ["api", "worker"])
def test_production_does_not_start_without_keys_of_its_own(production: Place, kind: str) -> None:
    keyless = {name: value for name, value in production.env.items() if name != "C2A_KEYRING"}
    code, said = replace(production, env=keyless).ended(kind)
    assert code == 1
    assert "c2a keyring create" in said


def guarded(place: Place) -> subprocess.CompletedProcess[str]:
    script = "from shared import start, config; start.guarded(config.Settings()); print('started')"
    return subprocess.run(
        [sys.executable, "-c", script], env=place.env, capture_output=True, text=True, timeout=STARTS_WITHIN_S
    )


@pytest.fixture
def hasty(settings: Settings) -> Iterator[None]:
    """The module's database, where whoever connects gets commits that are not waited for."""
    with unsynced(settings.database_url.get_secret_value()):
        yield


@pytest.mark.usefixtures("hasty")
def test_production_does_not_start_on_a_database_that_may_forget_a_commit_and_says_what_to_set(
    production: Place,
) -> None:
    done = guarded(production)
    assert done.returncode == 1
    assert "start.refused" in done.stdout
    assert "set synchronous_commit to on" in done.stdout


@pytest.fixture
def older(settings: Settings) -> Iterator[str]:
    """The module's database with the schema of the version before, as the API's own login would find it."""
    url, change = settings.database_url.get_secret_value(), "UPDATE alembic_version SET version_num = %s"
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(change, [f"{int(revision.NEEDED) - 1:04}"])
        yield f"{url}?options=-c%20role%3D{Role.API}"
        conn.execute(change, [revision.NEEDED])


@pytest.mark.parametrize("mode", ["production", "development"])
def test_nobody_starts_on_a_schema_that_is_older_than_this_version_and_says_what_to_run(
    production: Place, older: str, mode: str
) -> None:
    for url in (production.env["DATABASE_URL"], older):
        done = guarded(where(production, C2A_MODE=mode, DATABASE_URL=url))
        assert done.returncode == 1, done.stdout
        assert "start.refused" in done.stdout
        assert "run python -m shared.store.migrate first" in done.stdout


def test_the_version_before_starts_on_the_schema_of_the_next(production: Place, settings: Settings) -> None:
    """So that it can be rolled back, and a process of it that dies meanwhile comes back."""
    with psycopg.connect(settings.database_url.get_secret_value(), autocommit=True) as conn:
        conn.execute("UPDATE alembic_version SET version_num = '9999'")
        done = guarded(production)
        conn.execute("UPDATE alembic_version SET version_num = %s", [revision.NEEDED])
    assert done.returncode == 0, done.stdout


def test_development_starts_on_such_a_vault_with_a_warning(production: Place, unsafe: OwnRedis) -> None:
    done = guarded(where(production, VAULT_URL=unsafe.url, C2A_MODE="development"))
    assert done.returncode == 0, done.stderr
    assert "vault.unsafe" in done.stdout
    assert "started" in done.stdout


def test_a_vault_that_is_away_stops_nobody_who_starts(production: Place, unsafe: OwnRedis) -> None:
    unsafe.kill()
    done = guarded(where(production, VAULT_URL=unsafe.url))
    assert done.returncode == 0, done.stderr
    assert "vault.not_examined" in done.stdout
    assert "started" in done.stdout


def test_an_open_process_can_be_looked_into_and_one_that_closed_its_memory_cannot() -> None:
    """So that the test below can fail."""
    for begins, can in (("pass", True), ("from shared import memory; memory.close()", False)):
        with subprocess.Popen(
            [sys.executable, "-c", f"{begins}; print(flush=True); input()"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            preexec_fn=without_ptrace.give_up,
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            assert without_ptrace.can_read(f"/proc/{process.pid}/environ") is can
            process.kill()


@pytest.mark.parametrize("kind", ["api", "worker"])
def test_no_process_leaves_a_core_and_none_shows_its_memory(production: Place, kind: str) -> None:
    """Limits and the right to look are read from /proc; a child is then killed as a crash would, in its own folder."""
    with production.running(kind) as family:
        assert len(family) > 1
        for process in family:
            assert process.rlimit(psutil.RLIMIT_CORE) == (0, 0)
            assert not without_ptrace.can_read(f"/proc/{process.pid}/environ")
            assert not without_ptrace.can_read(f"/proc/{process.pid}/mem")

        child = family[-1]
        child.send_signal(signal.SIGABRT)
        until(lambda: not child.is_running(), "the child is gone", within_s=STARTS_WITHIN_S)
    assert not list(production.folder.glob("core*"))
