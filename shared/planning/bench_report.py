"""Reads the costs out of a report of deploy/bench, and says which part of it is missing.

The report is JSON that deploy/measure writes; that package may not be imported from here, so its names stand here
again, and a test holds them against what it writes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

from shared.planning import costs
from shared.planning.costs import API, Costs, NoCosts, Spent

NEEDED_PARTS: Final = "admission,polling,drain,cost"
"""What deploy/bench must have measured."""
BESIDE: Final = frozenset({"bench", "wrk", "psp"})
"""What runs beside the product and is no part of it."""
SERVER: Final = "server"
"""What a window of load calls the server it was on."""
ADMISSION: Final = "admission / floor"
POLLS: Final = "poll / floor"
DRAIN: Final = "drain over HTTP / naive chain"
"""With a PSP over HTTP: its client costs what it costs in production."""
COUNTED: Final = "round trips of an admission"
DISK, MESSAGE, CARD = "disk of a whole order", "memory of a waiting message", "memory of a sealed card"


def load(path: Path) -> Costs:
    """The costs in *path*, which is a report of deploy/bench or a file of costs. Raises NoCosts or OSError."""
    found = costs.contents(path)
    try:
        document = json.loads(found)
    except (ValueError, RecursionError):
        raise NoCosts("not JSON") from None
    if not isinstance(document, dict):
        raise NoCosts("not a JSON object")
    if "figures" not in document:
        return costs.checked(costs.told(Costs, found))
    return read(document)


def read(report: Mapping[str, Any]) -> Costs:
    """The costs in *report*; raises NoCosts."""
    try:
        return costs.checked(costs.told(Costs, json.dumps(_costs(report)).encode()))
    except (KeyError, TypeError, AttributeError, IndexError):
        raise NoCosts(f"not a report of `deploy/bench --only {NEEDED_PARTS}`") from None


def _costs(report: Mapping[str, Any]) -> dict[str, Any]:
    figures: dict[str, Any] = {figure["name"]: figure for figure in report["figures"]}
    if missing := [name for name in (ADMISSION, POLLS, DRAIN, COUNTED, DISK, MESSAGE, CARD) if name not in figures]:
        raise NoCosts(f"not measured: {', '.join(missing)}; `deploy/bench --only {NEEDED_PARTS}` measures all of it")
    counted = figures[COUNTED]["details"]
    return {
        "measuredOn": report["machine"],
        "quick": report["asked"]["quick"],
        "coresOfStrangers": max(_strangers(figures[name]["details"]) for name in (ADMISSION, POLLS, DRAIN)),
        "admissionMs": _window(figures[ADMISSION]),
        "pollMs": _window(figures[POLLS]),
        "orderMs": _middle([_of_ours(one["cpuMsPerOrder"]) for one in figures[DRAIN]["details"]["ours"]]),
        "admission": _spent(counted["admission"]),
        "engineRoom": _spent(counted["engineRoom"]),
        "diskBytes": figures[DISK]["ours"]["median"],
        "messageBytes": figures[MESSAGE]["ours"]["median"],
        "cardBytes": figures[CARD]["ours"]["median"],
    }


def _window(figure: Mapping[str, Any]) -> dict[str, float]:
    seen = _of_ours(figure["details"]["ours"]["cpuMsPerRequest"])
    return {API if name == SERVER else name: ms for name, ms in seen.items()}


_NUMBERED: Final = re.compile(r"-(?:\d+|alone)$")
"""What tells workers of one kind apart."""


def _of_ours(seen: Mapping[str, float]) -> dict[str, float]:
    ours = {name: ms for name, ms in seen.items() if name not in BESIDE}
    alike: dict[str, float] = {}
    for name, spent in ours.items():
        kind = _NUMBERED.sub("", name)
        alike[kind] = alike.get(kind, 0.0) + spent
    return alike


def _middle(several: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: median(one[name] for one in several) for name in several[0]}


def _spent(counted: Mapping[str, float]) -> dict[str, float]:
    return {str(field.alias): counted[name] for name, field in Spent.model_fields.items()}


def _strangers(details: Mapping[str, Any]) -> float:
    """The most of the product's own windows or drains."""
    match details["ours"]:
        case {"coresOfStrangers": {"greatest": most}}:
            return float(most)
        case list() as drains:
            return max(float(one["coresOfStrangers"]) for one in drains)
    raise NoCosts("it does not tell how much of the machine went to strangers")
