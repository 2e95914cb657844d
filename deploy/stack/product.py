"""The processes of ours: the API and its workers, and how to see that each works."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Final

from deploy.stack import ports
from deploy.stack.home import ROOT, Home
from deploy.stack.ports import HOST
from deploy.stack.program import HOME_MARK, Program, Stage

API_WORKERS: Final = 2
"""One a core of the smallest machine we promise anything for."""


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker: the queue it is named for, the pool it works in, and the queues it reads *also*."""

    queue: str
    pool: str
    concurrency: int
    also: tuple[str, ...] = ()
    number: int | None = None
    """Where there are several alike."""

    @property
    def name(self) -> str:
        """Its name in stack.json, in logs and on Celery's own wire."""
        return f"worker-{self.queue}" + (f"-{self.number}" if self.number else "")


WORKERS: Final = (
    Worker("offer-lock", "threads", 4),
    # A payment waits on the PSP and may be killed: processes, so that a kill costs one payment's step and no other;
    # enough of them that 2.5 s of a slow PSP (crash test) at six orders a second fill no queue.
    Worker("payment", "prefork", 16),
    Worker("tokenization", "threads", 4),
    Worker("upkeep", "threads", 4),
)
"""One worker a queue: each kind of work is scaled, and stopped, alone."""

_ALL_STEPS: Final = ("offer-lock", "tokenization")
ONE_POOL: Final = (
    *(Worker("payment", "threads", 8, _ALL_STEPS, number) for number in (1, 2)),
    Worker("payment-alone", "prefork", 1),
    Worker("upkeep", "threads", 4),
)
"""One pool for all steps: whoever takes an order takes it to its end, with one message where there were three. Threads,
a process a core: what a pool of processes hands through its pipes costs as much as the steps do. What may take a
worker down is left to one that is a process (shared/messages.py)."""

ANSWER_WITHIN_S: Final = 2.0
"""/readyz judges its database within that time, and says so (contract: 503 within 2 s)."""
HEARTBEAT_FRESH_S: Final = 3.0
"""A worker touches its file every second while it is connected; three missed beats are a worker that is not."""


@dataclass(frozen=True, slots=True)
class Wiring:
    """The addresses by which the processes find each other."""

    database_url: str = field(repr=False)
    api_database_url: str = field(repr=False)
    broker_url: str = field(repr=False)
    vault_url: str = field(repr=False)
    api_port: int
    psp_port: int
    keyring: Path
    metrics_ports: Mapping[str, int] = field(default_factory=dict)

    @property
    def base_url(self) -> str:
        """Where the API answers."""
        return f"http://{HOST}:{self.api_port}"

    @property
    def psp_url(self) -> str:
        """Where the PSP answers."""
        return f"http://{HOST}:{self.psp_port}"

    def settings(self) -> dict[str, str]:
        """The settings that are the stack's to decide (shared/config.py); all others pass through as they are set."""
        return {
            "DATABASE_URL": self.database_url,
            "BROKER_URL": self.broker_url,
            "VAULT_URL": self.vault_url,
            "C2A_PUBLIC_URL": self.base_url,
            "C2A_KEYRING": str(self.keyring),
        }


def metrics_ports(home: Home) -> dict[str, int]:
    """Where each process of ours tells its metrics, by its name, whichever of the pools are run."""
    names = ["api", *dict.fromkeys(which.name for which in (*WORKERS, *ONE_POOL))]
    return {name: ports.kept(home, f"metrics-{name}") for name in names}


def _metrics(name: str, home: Home, wiring: Wiring) -> dict[str, str]:
    """The settings by which *name* tells them."""
    return {"C2A_METRICS_PORT": str(wiring.metrics_ports[name]), "C2A_METRICS_DIR": str(home.run / f"{name}.metrics")}


def api(home: Home, wiring: Wiring, own: Mapping[str, str] | None = None) -> Program:
    """The API, ready once it reaches its database and its vault; *own*: settings that no worker has."""
    argv = ("-m", "api.main", "--host", HOST, "--port", str(wiring.api_port), "--workers", str(API_WORKERS))
    return Program(
        name="api",
        argv=(sys.executable, *argv),
        log=home.log_of("api"),
        cwd=ROOT,
        env=environment(
            home,
            {
                **wiring.settings(),
                **_metrics("api", home, wiring),
                "DATABASE_URL": wiring.api_database_url,
                **(own or {}),
            },
        ),
        is_ready=lambda: answers(wiring.api_port, "/readyz"),
        grace_s=10.0,  # A request may take 2 s to be refused while the database is away; a held poll is let go.
        stage=Stage.PRODUCT,
        shows_children=True,
    )


def worker(which: Worker, home: Home, wiring: Wiring) -> Program:
    """One worker, ready while its heartbeat is fresh."""
    heartbeat = home.run / f"{which.name}.heartbeat"
    argv = ("-m", "celery", "-A", "workers.main", "worker", "-Q", ",".join((which.queue, *which.also)))
    quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "INFO")
    return Program(
        name=which.name,
        argv=(sys.executable, *argv, "-P", which.pool, "-c", str(which.concurrency), *quiet, "-n", f"{which.name}@%h"),
        log=home.log_of(which.name),
        cwd=ROOT,
        env=environment(
            home, wiring.settings() | _metrics(which.name, home, wiring) | {"C2A_HEARTBEAT_FILE": str(heartbeat)}
        ),
        is_ready=lambda: _beats(heartbeat),
        before_start=lambda: heartbeat.unlink(missing_ok=True),
        grace_s=20.0,  # A step in hand may wait 15 s for a PSP (design: PSP total 15 s).
        stage=Stage.PRODUCT,
        shows_children=True,
    )


def programs(
    home: Home, wiring: Wiring, workers: tuple[Worker, ...] = WORKERS, of_api: Mapping[str, str] | None = None
) -> list[Program]:
    """The API, with the settings *of_api*, and its *workers*."""
    return [api(home, wiring, of_api), *(worker(which, home, wiring) for which in workers)]


def environment(home: Home, settings: Mapping[str, str]) -> dict[str, str]:
    """What a process of this stack inherits, with *settings*, and whose it is."""
    ours = {"DATABASE_URL", "BROKER_URL", "VAULT_URL"}
    inherited = {name: value for name, value in os.environ.items() if name not in ours}
    return {**inherited, **settings, HOME_MARK: str(home.path), "PYTHONUNBUFFERED": "1"}


def answers(port: int, path: str) -> bool:
    """Whether a server of ours answers 200 there."""
    # Asked many times a second while everything starts: no client of more weight than the question.
    connection = HTTPConnection(HOST, port, timeout=ANSWER_WITHIN_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _beats(heartbeat: Path) -> bool:
    try:
        return time.time() - heartbeat.stat().st_mtime < HEARTBEAT_FRESH_S
    except FileNotFoundError:
        return False
