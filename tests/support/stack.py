"""A whole stack for the tests that drive the product from outside: `deploy/up` in a folder of its own.

It shares nothing with a stack that a developer runs from the same checkout: other folder, other ports, other data.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from deploy.stack import account, ports
from deploy.stack.home import ROOT, Home

CHALLENGE_LIFE_S: Final = 20
"""An abandoned challenge ends while a test can wait for it (design: 20 s in tests)."""
COMMAND_WITHIN_S: Final = 120
"""A stack is up in seconds; on a loaded two-core machine it has needed 40."""
NOT_HANDED_ON: Final = frozenset({"DATABASE_URL", "BROKER_URL", "VAULT_URL", "PYTHONDONTWRITEBYTECODE"})
"""Servers a developer may have named, and what deploy/up clears too: a start without bytecode takes twice as long."""


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack that runs, by what its stack.json tells."""

    home: Path

    def document(self) -> dict[str, Any]:
        """stack.json as it is now."""
        document: dict[str, Any] = json.loads((self.home / "stack.json").read_text())
        return document

    @property
    def base_url(self) -> str:
        """Where the API answers, without a path."""
        return str(self.document()["baseUrl"])

    @property
    def tenant(self) -> str:
        """The demo tenant."""
        return str(self.document()["tenant"])

    @property
    def api_key(self) -> str:
        """The demo tenant's secret key."""
        return str(self.document()["apiKey"])

    @property
    def operator_key(self) -> str:
        """The demo tenant's operator key."""
        return str(self.document()["operatorKey"])

    @property
    def shop_url(self) -> str:
        """The shop page."""
        return str(self.document()["shopUrl"])

    @property
    def postgres_dsn(self) -> str:
        """The product's database."""
        return str(self.document()["postgresDsn"])

    @property
    def psp_url(self) -> str:
        """Where the sandbox PSP answers."""
        return str(self.document()["psp"]["baseUrl"])

    @property
    def broker_url(self) -> str:
        """Its broker."""
        return str(self.document()["brokerUrl"])

    @property
    def broker(self) -> str:
        """The process of its broker, by its name in stack.json."""
        return "redis-broker" if self.broker_url.startswith("redis") else "rabbitmq"

    @property
    def headers(self) -> dict[str, str]:
        """What every call of the demo tenant carries."""
        return {"x-api-key": self.api_key, "x-tn": self.tenant}

    def pids(self, name: str) -> list[int]:
        """The processes of *name*, the supervised one first; none while it is between two lives."""
        return list(self.document()["processes"].get(name, []))

    def logs(self) -> dict[str, str]:
        """Everything the processes wrote, by log file."""
        return {log.name: log.read_text(errors="replace") for log in (self.home / "logs").glob("*.log")}


@contextmanager
def folder() -> Iterator[Path]:
    """A home for a stack, gone afterwards with whatever PostgreSQL had to keep elsewhere."""
    home = Path(tempfile.mkdtemp(prefix="c2a-stack-"))
    try:
        yield home
    finally:
        account.forget(home)
        shutil.rmtree(home)


@contextmanager
def running(home: Path, *options: str, settings: Mapping[str, str] | None = None) -> Iterator[Stack]:
    """A stack in *home*, healthy, without the demo orders; stopped at the end. *settings*: C2A_... of its processes."""
    try:
        up(home, *options, settings=settings)
        yield Stack(home)
    finally:
        down(home)


def up(home: Path, *options: str, settings: Mapping[str, str] | None = None) -> str:
    """`deploy/up --detach --no-demo` in *home*; what it said. Fails the test if it did not come up.

    Never on the default port: two stacks that start at the same moment both find it free.
    """
    port = str(ports.kept(Home(home), "api"))
    done = command("up", home, "--detach", "--no-demo", "--port", port, *options, settings=settings)
    assert done.returncode == 0, done.stdout
    return done.stdout


def down(home: Path) -> str:
    """`deploy/down` in *home*; what it said."""
    done = command("down", home)
    assert done.returncode == 0, done.stdout
    return done.stdout


def command(
    name: str, home: Path, *options: str, settings: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run deploy/*name*, as it runs once it has installed everything."""
    return subprocess.run(
        [sys.executable, "-m", "deploy.stack", name, "--home", str(home), *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=COMMAND_WITHIN_S,
        cwd=ROOT,
        env=environment(settings or {}),
    )


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Ours without what is not handed on, and with *settings*."""
    kept = {name: value for name, value in os.environ.items() if name not in NOT_HANDED_ON}
    return {**kept, "C2A_CHALLENGE_LIFE_S": str(CHALLENGE_LIFE_S), **settings}
