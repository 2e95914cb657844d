"""What deploy/observability says, read for tests, and every series that the code exports."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from shared.observe.metrics import Metrics
from workers.snapshot import GAUGES, MOVES

FOLDER: Final = Path(__file__).parents[2] / "deploy" / "observability"
SELECTOR: Final = re.compile(r"\b(c2a_\w+|up)\b(?:\{([^}]*)\})?")
MATCHER: Final = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')


@dataclass(frozen=True, slots=True)
class Selector:
    """A series as an expression asks for it, and the values it wants of labels."""

    name: str
    wanted: dict[str, frozenset[str]]


def selectors(expression: str) -> Iterator[Selector]:
    """Every series an expression asks for; of a pattern, the values it lists."""
    for name, matchers in SELECTOR.findall(expression):
        found = MATCHER.findall(matchers)
        yield Selector(name, {label: frozenset(value.split("|")) for label, _, value in found})


def rules() -> list[dict[str, Any]]:
    """The alerts."""
    document = yaml.safe_load((FOLDER / "alerts.yml").read_text())
    return [rule for group in document["groups"] for rule in group["rules"]]


def dashboards() -> list[dict[str, Any]]:
    """The dashboards."""
    return [json.loads(path.read_text()) for path in sorted(FOLDER.glob("grafana/dashboards/*.json"))]


def expressions() -> list[str]:
    """Every expression of an alert or a dashboard."""
    asked = [rule["expr"] for rule in rules()]
    for dashboard in dashboards():
        asked += [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    return asked


def exported() -> dict[str, frozenset[str]]:
    """The names of all series our programs export, and their labels."""
    made: dict[str, frozenset[str]] = {"up": frozenset({"job", "instance"})}  # Prometheus' own.
    metrics = Metrics()
    for histogram in (metrics.requests, metrics.steps, metrics.calls):
        names = frozenset(histogram.metric._labelnames)
        base = histogram.metric._name
        made |= {f"{base}_count": names, f"{base}_sum": names, f"{base}_bucket": names | {"le"}}
    for counter in (metrics.rings, metrics.rescues, metrics.parks):
        made[f"{counter.metric._name}_total"] = frozenset(counter.metric._labelnames)
    made |= {name: frozenset(labels) for name, (_, labels) in GAUGES.items()}
    return made | {f"{MOVES[0]}_total": frozenset(MOVES[2])}
