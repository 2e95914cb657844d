"""deploy/bench: measures the product beside its references on a stack of its own, part by part, and reports.

A part that fails does not take the others along: it is told with its reason. What falls short is told as it is.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import psycopg
import redis
from rich.console import Console
from sqlalchemy.exc import SQLAlchemyError

from deploy.measure import machine, plan, report, stand, traffic
from deploy.measure.figures import Figure
from deploy.measure.parts import admission, cost, drain, latency, longpoll, memory, polling, scale, waiting
from deploy.measure.parts.outcome import Outcome
from deploy.measure.plan import Plan
from deploy.measure.stand import ProcessDied, Stand
from deploy.measure.traffic import Invalid
from deploy.stack import account, binaries, options, signals
from deploy.stack.show import Show
from deploy.stack.waiting import WaitedInVain

SCALE: Final = "scale"
WAITING: Final = "scale, waiting"
NEED_WRK: Final = frozenset({"admission", "polling", SCALE})
UNMEASURED: Final = (Invalid, ProcessDied, WaitedInVain, psycopg.Error, SQLAlchemyError, redis.RedisError, OSError)
"""What ends one part."""
NO_STAND: Final = (account.NoAccount, binaries.NotFound, WaitedInVain, PermissionError)
"""What ends everything, told in a line."""


WIDTH: Final = 180


@dataclass(slots=True)
class _Run:
    """What was measured so far."""

    figures: list[Figure] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    drain_rates: tuple[float, ...] = ()

    def part(self, name: str, measure: Callable[[Outcome], None], stood: Stand) -> None:
        """Measure one part; what it could measure is kept, whatever ends it. Raises StopAsked."""
        began, outcome = time.monotonic(), Outcome()
        try:
            measure(outcome)
        except UNMEASURED as error:
            self.failures[name] = f"{type(error).__name__}: {error}"
            stood.show.say(f"{name} could not be measured: {error}")
            stood.had_trouble = True
            return
        except signals.StopAsked:
            self.failures[name] = "stopped before its end"
            raise
        finally:
            self.figures += outcome.figures
        if name == "drain":
            self.drain_rates = tuple(outcome.values("drain / naive chain"))
        stood.show.mark(name, time.monotonic() - began)


def main(asked: Namespace) -> int:
    """Run deploy/bench; its exit code: 0 if all that was asked for was measured, 1 if not, 2 where wrk is missing."""
    show = Show()
    asked.scale = asked.scale or (options.LARGE if SCALE in asked.only else 0)
    parts = _parts(asked)
    if NEED_WRK.intersection(parts) and not traffic.is_there():
        show.say(f"deploy/bench: {traffic.INSTALL}")
        return 2
    sizes, run = plan.of(asked), _Run()
    try:
        with signals.heard(), stand.opened(show) as stood:
            facts = machine.facts(stood.admin_url, stood.home.path)
            try:
                for name in parts:
                    run.part(name, _measuring(name, stood, sizes, run), stood)
            except signals.StopAsked:
                show.say("Stopped; this was measured until then.")
                _tell(asked, parts, sizes, facts, run)
                return 1
    except signals.StopAsked:
        show.say("Stopped; nothing is reported.")
        return 1
    except NO_STAND as trouble:
        show.say(f"deploy/bench: {trouble}")
        return 1
    except subprocess.CalledProcessError as failed:
        show.say(f"deploy/bench: {failed.cmd[0]} failed: {failed.stderr or failed}")
        return 1
    _tell(asked, parts, sizes, facts, run)
    return 1 if run.failures else 0


def _parts(asked: Namespace) -> list[str]:
    """What to measure, scale last: its tables, then what waits."""
    return [*(name for name in asked.only if name != SCALE), *([SCALE, WAITING] if asked.scale else [])]


def _measuring(name: str, stood: Stand, sizes: Plan, run: _Run) -> Callable[[Outcome], None]:
    if name in _ADDS:
        return lambda outcome: _ADDS[name](stood, sizes, outcome)
    if name == "latency":
        return lambda outcome: outcome.take(latency.measure(stood, sizes, run.drain_rates))
    return lambda outcome: outcome.take(_MEASURES[name](stood, sizes))


_MEASURES: Final[Mapping[str, Callable[[Stand, Plan], Outcome]]] = {
    "memory": memory.measure,
    "admission": admission.measure,
    "polling": polling.measure,
    "longpoll": longpoll.measure,
    "drain": drain.measure,
    "cost": cost.measure,
}
_ADDS: Final[Mapping[str, Callable[[Stand, Plan, Outcome], None]]] = {SCALE: scale.measure, WAITING: waiting.measure}
"""Those that take long: what they measured before they ended is told."""


def _tell(asked: Namespace, parts: list[str], sizes: Plan, facts: Mapping[str, Any], run: _Run) -> None:
    told = {"parts": parts, "quick": asked.quick, **sizes.document(), "libraries": machine.libraries()}
    document = report.document(facts, told, run.figures, run.failures)
    asked.json.parent.mkdir(parents=True, exist_ok=True)
    asked.json.write_text(json.dumps(document, indent=1) + "\n")
    # Written into a file, a row stays one line.
    console = Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=WIDTH)
    report.show(console, facts, run.figures, run.failures)
    print(f"The whole of it: {asked.json}")
