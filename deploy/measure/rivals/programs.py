"""How the references are started: beside the product, on the same servers, with as many processes and places."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Final

from deploy.measure.processes import pools
from deploy.measure.rivals import naive_tasks
from deploy.stack import ports, product
from deploy.stack.home import Home
from deploy.stack.ports import HOST
from deploy.stack.product import Wiring, Worker
from deploy.stack.program import Program

FLOOR: Final = "floor"
NAIVE: Final = "naive"
_PACKAGE: Final = "deploy.measure.rivals"


def floor(home: Home, wiring: Wiring) -> Program:
    """The floor's server."""
    return _server(FLOOR, "floor", home, wiring)


def naive(home: Home, wiring: Wiring, *, processes: int = product.API_WORKERS) -> Program:
    """The naive way's front door."""
    return _server(NAIVE, "naive_web", home, wiring, processes)


@cache
def port_of(name: str, home: Home) -> int:
    """Where a server of ours listens; remembered, as a port that is taken would be passed over for another."""
    return ports.kept(home, name)


def naive_workers(home: Home, wiring: Wiring, *, single: bool = False) -> list[Program]:
    """A worker a step, in the product's pools and with as many places; *single*: with one place each."""
    return [
        _worker(queue, replace(which, concurrency=1) if single else which, home, wiring)
        for queue, which in zip(naive_tasks.QUEUES.values(), pools(), strict=True)
    ]


def _server(name: str, module: str, home: Home, wiring: Wiring, processes: int = product.API_WORKERS) -> Program:
    port = port_of(name, home)
    argv = (sys.executable, "-m", f"{_PACKAGE}.{module}", "--host", HOST, "--port", str(port))
    like = product.api(home, replace(wiring, api_port=port, api_database_url=wiring.database_url))
    return replace(like, name=name, argv=(*argv, "--workers", str(processes)), log=home.log_of(name))


def _worker(queue: str, which: Worker, home: Home, wiring: Wiring) -> Program:
    like = product.worker(which, home, wiring)
    ready = home.run / f"{queue}.ready"
    argv = ("-m", "celery", "-A", f"{_PACKAGE}.naive_tasks", "worker", "-Q", queue, "-P", which.pool)
    quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "WARNING")
    return replace(
        like,
        name=queue,
        argv=(sys.executable, *argv, "-c", str(which.concurrency), *quiet, "-n", f"{queue}@%h"),
        log=home.log_of(queue),
        env={**like.env, naive_tasks.READY_FILE: str(ready)},
        is_ready=ready.exists,
        before_start=lambda: _gone(ready),
    )


def _gone(file: Path) -> None:
    file.unlink(missing_ok=True)
