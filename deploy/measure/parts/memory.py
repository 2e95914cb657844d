"""Memory: what each process of the product holds once it is warm, and again after many orders."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import psutil

from deploy.measure import bar, database, processes
from deploy.measure.at_once import PROVIDER
from deploy.measure.crowd import Crowd
from deploy.measure.database import Connection
from deploy.measure.parts.outcome import Outcome
from deploy.measure.plan import Plan
from deploy.measure.stand import Stand
from deploy.stack import product
from deploy.stack.waiting import until

JUDGED_AFTER: Final = 100_000
"""Orders after which growth is judged: less than that shows what a process learns, not what it loses."""
DONE_WITHIN_S: Final = 1_200.0
"""What waits when 100,000 orders were submitted at once is drained in ten minutes."""
AT_A_TIME: Final = 1_000
"""Orders between two looks at how far it is."""
_MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Held:
    """What one process holds, in MiB. *pss* counts a page that several share by its share, where we may know it."""

    rss: float
    pss: float | None


def measure(stand: Stand, plan: Plan) -> Outcome:
    """The figures of memory. Raises Invalid, ProcessDied or StopAsked."""
    home, wiring = stand.home, stand.wiring
    with (
        stand.running(product.api(home, wiring), *processes.workers(home, wiring)) as up,
        database.connected(stand.admin_url) as conn,
    ):
        database.empty_orders(conn)
        crowd = Crowd(stand.submit_url, stand.headers, stand.offer, PROVIDER)
        _order(crowd, conn, plan.warm_orders, stand.show.say)
        before = held(up)
        stand.show.say(f"  memory: {_told(before)} when warm")
        _order(crowd, conn, plan.remembered, stand.show.say)
        after = held(up)
        stand.show.say(f"  memory: {_told(after)} after {plan.remembered} orders")
    return _figures(before, after, plan.remembered)


def _order(crowd: Crowd, conn: Connection, count: int, say: Callable[[str], None]) -> None:
    with bar.shown(f"{count:,} orders", count, say) as shown:
        for first in range(0, count, AT_A_TIME):
            crowd.submit(some := min(AT_A_TIME, count - first))
            shown.advance(some)
            shown.show()
    until(lambda: database.left(conn) == 0, "orders are not done", within_s=DONE_WITHIN_S)


def held(families: Mapping[str, psutil.Process]) -> dict[str, dict[int, Held]]:
    """What every process of *families* holds, by program and number."""
    return {name: {one.pid: _held(one) for one in processes.family(root)} for name, root in families.items()}


def _held(process: psutil.Process) -> Held:
    try:
        pss = process.memory_full_info().pss / _MIB
    except psutil.AccessDenied:
        pss = None  # The product closes its memory to its neighbours; only root may look.
    return Held(process.memory_info().rss / _MIB, pss)


def _figures(before: dict[str, dict[int, Held]], after: dict[str, dict[int, Held]], orders: int) -> Outcome:
    outcome = Outcome()
    why = "" if orders >= JUDGED_AFTER else f"after {orders} orders; its goal is for {JUDGED_AFTER:,} (--scale)"
    details = {name: _document(before[name], after[name]) for name in after}
    for kind, names in (("API", ["api"]), ("worker", [name for name in after if name != "api"])):
        largest = max(one.rss for name in names for one in after[name].values())
        article = "an API process" if kind == "API" else "a worker process"
        outcome.add(
            f"memory of {article}", "MiB", [largest], note=f"the largest, after {orders} orders", details=details
        )
        grown = 100 * (_all(after, names) / _all(before, names) - 1)
        growing = "the API" if kind == "API" else "the workers"
        outcome.add(f"growth of {growing}", "%", [grown], not_judged=why)
        details = {}
    return outcome


def _all(seen: dict[str, dict[int, Held]], names: list[str]) -> float:
    """What the processes of *names* hold together, in MiB."""
    return sum(one.rss for name in names for one in seen[name].values())


def _document(before: dict[int, Held], after: dict[int, Held]) -> dict[str, Any]:
    def told(seen: dict[int, Held]) -> list[dict[str, float | None]]:
        return [{"rssMiB": one.rss, "pssMiB": one.pss} for one in seen.values()]

    return {"before": told(before), "after": told(after)}


def _told(seen: dict[str, dict[int, Held]]) -> str:
    return ", ".join(f"{name} {max(one.rss for one in held.values()):.0f} MiB" for name, held in seen.items())
