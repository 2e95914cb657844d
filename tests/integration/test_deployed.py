"""What deploy/compose.yaml says runs, without an engine: its commands and variables, on servers with its settings.

Only addresses differ: what is a name there is a port of this machine here, and /run/secrets a folder of the test's.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
import redis

from deploy.container import make_secrets
from deploy.stack import account, binaries, ports, postgres
from deploy.stack.home import ROOT, Home
from deploy.stack.product import answers
from deploy.stack.program import spawn, stop
from deploy.stack.waiting import until
from shared import vault_server
from tests.support.manifests import compose

SERVICES: Final[dict[str, dict[str, Any]]] = compose()["services"]
CONTAINER: Final = ROOT / "deploy" / "container"
PATH: Final = f"{CONTAINER}:{Path(sys.executable).parent}:{os.environ['PATH']}"
READY_WITHIN_S: Final = 60.0
ENDS_WITHIN_S: Final = 40.0
"""Nothing is in its hands; a worker has been half a minute about being sure of that."""


@dataclass(frozen=True, slots=True)
class Machine:
    """Where it all runs."""

    home: Home
    ends: ExitStack
    _ports: dict[str, int] = field(default_factory=dict)

    def port(self, name: str) -> int:
        """The port by which others find *name*."""
        if name not in self._ports:
            self._ports[name] = ports.kept(self.home, name)
        return self._ports[name]

    def secret(self, name: str) -> str:
        """A file that was made."""
        return (self.home.path / "secrets" / name).read_text()

    def run(self, name: str, *wrapper: str, **more: str) -> subprocess.Popen[bytes]:
        """Start a service by its command and its variables, which hold for this machine; it ends with the test."""
        service = SERVICES[name]
        variables = {key: self._here(value, name) for key, value in service.get("environment", {}).items()}
        with self.home.log_of(name).open("ab") as log:
            process = subprocess.Popen(
                [*wrapper, *(self._here(word, name) for word in service["command"])],
                cwd=ROOT,
                env={"PATH": PATH, **variables, **more},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.ends.callback(process.wait)
        self.ends.callback(process.kill)
        return process

    def _here(self, word: str, name: str) -> str:
        moved = {
            "/run/secrets/": f"{self.home.path}/secrets/",
            "/run/keys/": f"{self.home.path}/secrets/keys/",
            "/tmp/heartbeat": self.heartbeat(name),
            "0.0.0.0": "127.0.0.1",
            "8080": str(self.port("api")),
            "9464": str(self.port(f"{name}-metrics")),
        }
        # All at once: a port drawn for one may look like another's.
        return re.sub("|".join(map(re.escape, moved)), lambda found: moved[found[0]], word)

    def heartbeat(self, name: str) -> str:
        """The file by which a worker says that it lives."""
        return str(self.home.run / f"{name}.heartbeat")

    def works(self, name: str, process: subprocess.Popen[bytes]) -> bool:
        """Whether the API, or a worker, does; fails the test with its log once its *process* has ended."""
        assert process.poll() is None, self.home.log_of(name).read_text()
        return answers(self.port("api"), "/readyz") if name == "api" else self.is_healthy(name)

    def is_healthy(self, name: str) -> bool:
        """What the image's own check of a worker says."""
        asked = {"PATH": PATH, "C2A_HEARTBEAT_FILE": self.heartbeat(name)}
        return subprocess.run(["c2a-healthy"], env=asked, capture_output=True, check=False, timeout=10).returncode == 0


@pytest.fixture
def machine() -> Iterator[Machine]:
    """With secrets of its own, as they are made for a deployment, whose addresses lead to this machine."""
    with tempfile.TemporaryDirectory(prefix="c2a-deployed-") as folder, ExitStack() as ends:
        here = Machine(Home(Path(folder)).make(), ends)
        make_secrets.make(here.home.path, "redis")
        for file in (here.home.path / "secrets").glob("*url"):
            url = file.read_text()
            for name, port in (("postgres", 5432), ("redis-vault", 6379), ("redis-broker", 6379)):
                url = url.replace(f"{name}:{port}", f"127.0.0.1:{here.port(name)}")
            file.chmod(0o600)
            file.write_text(url)
        yield here


@pytest.fixture
def cluster(machine: Machine) -> postgres.Postgres:
    """A PostgreSQL as its image leaves it, after what compose.yaml mounts has run."""
    made = postgres.prepare(machine.home, port=machine.port("postgres"))
    program = postgres.program(made, machine.home)
    machine.ends.callback(account.forget, machine.home.path)
    machine.ends.callback(stop, spawn(program), program)
    until(made.is_ready, f"PostgreSQL answers (see {program.log})", within_s=READY_WITHIN_S)
    subprocess.run(
        [CONTAINER / "postgres-init.sh"],
        env={
            "PATH": f"{made.bin_folder}:{PATH}",
            "C2A_SECRETS": str(machine.home.path / "secrets"),
            "POSTGRES_USER": "postgres",
            "PGHOST": "127.0.0.1",
            "PGPORT": str(made.port),
            "PGPASSWORD": made.password,
        },
        check=True,
        timeout=30,
    )
    return made


@pytest.fixture
def servers(machine: Machine) -> None:
    """The two Redis, each by the command of its service."""
    folder = machine.home.path / "bin"
    folder.mkdir()
    (folder / "redis-server").symlink_to(binaries.redis_server())
    for name in ("redis-vault", "redis-broker"):
        data = machine.home.path / name
        data.mkdir()
        own = (
            "env",
            f"PATH={folder}:{PATH}",
            "sh",
            "-c",
            'exec "$@" --port "$PORT" --bind 127.0.0.1 --dir "$DIR"',
            "sh",
        )
        machine.run(name, *own, PORT=str(machine.port(name)), DIR=str(data))
    for name in ("vault", "broker"):
        until(lambda name=name: _pings(machine.secret(f"{name}_url")), f"{name} answers", within_s=READY_WITHIN_S)  # type: ignore[misc]


def _pings(url: str) -> bool:
    with redis.Redis.from_url(url, socket_timeout=1) as client:
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False


@pytest.mark.usefixtures("servers")
def test_the_vault_is_one_that_production_takes(machine: Machine) -> None:
    with redis.Redis.from_url(machine.secret("vault_url"), decode_responses=True) as vault:
        vault_server.examine(vault)


@pytest.mark.usefixtures("cluster", "servers")
def test_it_migrates_serves_and_ends_when_it_is_asked_to(machine: Machine) -> None:
    migrating = machine.run("migrate", "c2a-entry")
    assert migrating.wait(READY_WITHIN_S) == 0, machine.home.log_of("migrate").read_text()

    running = {name: machine.run(name, "c2a-entry") for name in ("api", "worker-offer-lock", "upkeep")}
    for name, process in running.items():
        until(lambda name=name, process=process: machine.works(name, process), name, within_s=READY_WITHIN_S)  # type: ignore[misc]
    assert _logins(machine) == {"c2a", "c2a_api"}, "the API by a login of its own"

    for process in running.values():
        process.terminate()
    assert {name: process.wait(ENDS_WITHIN_S) for name, process in running.items()} == dict.fromkeys(running, 0)
    assert not machine.is_healthy("upkeep"), "its file went with it"


def _logins(machine: Machine) -> set[str]:
    with psycopg.connect(machine.secret("database_url")) as conn:
        asked = conn.execute("SELECT usename FROM pg_stat_activity WHERE application_name = 'c2a'")
        return {name for (name,) in asked}
