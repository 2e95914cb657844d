"""What is deployed where, read from the manifests as an engine would: deploy/compose.yaml and deploy/kubernetes."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from deploy.stack.home import ROOT
from deploy.stack.product import WORKERS
from shared.config import Settings
from workers.main import create, read_side_queues

DEPLOY: Final = ROOT / "deploy"
OVERLAYS: Final = ("redis", "rabbitmq")
WORKER_SERVICES: Final = ("upkeep", "worker-offer-lock", "worker-payment", "worker-tokenization")
NO_SETTINGS: Final = frozenset({"C2A_HEARTBEAT_FILE"})
"""Read where it is used (workers/liveness.py): it says nothing of what a worker does."""

Document = dict[str, Any]


@cache
def compose() -> Document:
    """The services of one machine, every variable at its default."""
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", (DEPLOY / "compose.yaml").read_text())
    document: Document = yaml.safe_load(text)
    return document


@cache
def kubernetes(overlay: str) -> tuple[Document, ...]:
    """Every object of an overlay. Kustomizations are lists of files here, so that reading them is rendering them."""
    return tuple(_resources(DEPLOY / "kubernetes" / "overlays" / overlay))


def _resources(folder: Path) -> Iterator[Document]:
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert set(kustomization) == {"apiVersion", "kind", "resources"}, f"{folder}: only lists of files are read here"
    for name in kustomization["resources"]:
        path = (folder / name).resolve()
        yield from _resources(path) if path.is_dir() else yaml.safe_load_all(path.read_text())


def named(objects: Iterable[Document], kind: str) -> dict[str, Document]:
    """The objects of one *kind* by their names."""
    return {one["metadata"]["name"]: one for one in objects if one["kind"] == kind}


def container(workload: Document) -> Document:
    """The one container of a Deployment, a StatefulSet or a Job."""
    [only] = workload["spec"]["template"]["spec"]["containers"]
    return dict(only)


def queues_read(command: list[str]) -> set[str]:
    """What a worker started by *command* reads, side queues included, as the worker itself decides it."""
    app = create(Settings())
    app.amqp.queues.select([command[command.index("-Q") + 1]])
    read_side_queues(app, command[command.index("-P") + 1] == "prefork")
    return set(app.amqp.queues.consume_from)


def commands_of_the_stack() -> set[tuple[str, ...]]:
    """What deploy/up starts workers with, without what names them there."""
    quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "INFO")
    start = ("celery", "-A", "workers.main", "worker")
    return {(*start, "-Q", one.queue, "-P", one.pool, "-c", str(one.concurrency), *quiet) for one in WORKERS}


def settings() -> set[str]:
    """The environment variables that the product reads."""
    fields = Settings.model_fields
    return {str(field.validation_alias or f"C2A_{name.upper()}") for name, field in fields.items()} | NO_SETTINGS


def version() -> str:
    """The version of this checkout."""
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])


def options(command: list[str]) -> Mapping[str, str]:
    """The options of a redis-server's *command*."""
    at = [place for place, word in enumerate(command) if word.startswith("--")]
    return {command[place][2:]: command[place + 1] for place in at}


def seconds(text: str) -> int:
    """A duration of the form that compose.yaml has: 100s."""
    assert text.endswith("s"), text
    return int(text[:-1])


def is_executable(path: Path) -> bool:
    """Whether an image that holds *path* may start it."""
    return os.access(path, os.X_OK)
