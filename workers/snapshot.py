"""What upkeep's gauges tell: one look at the database, the broker, the vault and the keys, kept until the next one.

A scrape reads the last look and asks nobody, so that any number of scrapers costs the database nothing. With several
upkeep processes each tells the same: dashboards and alerts take the maximum.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from shared.domain.states import TRANSITIONS, OrderEvent, OrderState

GAUGES: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "c2a_orders": ("Live orders by where they stand.", ("kind",)),
    "c2a_orders_oldest_seconds": ("Since the longest unmoved live order moved.", ("kind",)),
    "c2a_orders_parked": ("Live orders that took their workers down and wait for somebody to look.", ()),
    "c2a_open_money_attempts": ("Attempts that may hold money, and refunds under way.", ("outcome", "currency")),
    "c2a_open_money_minor": ("What they may hold, in minor units.", ("outcome", "currency")),
    "c2a_open_money_oldest_seconds": ("Since the oldest of them began.", ("outcome", "currency")),
    "c2a_psp_news_parked": ("PSP events that wait for an attempt they belong to.", ()),
    "c2a_psp_news_oldest_seconds": ("Since the oldest of them came.", ()),
    "c2a_psp_accounts": ("Accounts that take payments, at most 1,000.", ("adapter",)),
    "c2a_psp_breakers_open": ("Those of them whose breaker is open.", ("adapter",)),
    "c2a_queue_depth": ("Messages that wait in a queue.", ("queue",)),
    "c2a_vault_keys": ("What the vault's Redis holds: sealed cards, limits, gates.", ()),
    "c2a_vault_memory_bytes": ("Memory the vault's Redis uses.", ()),
    "c2a_part_up": ("Whether upkeep reaches it: postgres, broker, vault, keys.", ("part",)),
    "c2a_findings": ("What the last examination found that is not as promised.", ("severity", "check")),
    "c2a_looked_timestamp_seconds": ("When upkeep last looked.", ()),
}
ADMITTED: Final = (OrderEvent.ADMITTED.value, OrderState.ADMITTED.value)
MOVES: Final = ("c2a_order_moves", "Moves of orders, by event and the state after it.", ("event", "state"))

Values = Mapping[str, Mapping[tuple[str, ...], float]]
"""By gauge, by its labels' values."""


class Snapshot(Collector):
    """The last look, as the registry of a metrics port wants it. Replaced as a whole, so no lock is needed."""

    def __init__(self) -> None:
        self._values: Values = {}
        self._findings: Mapping[tuple[str, ...], float] = {}
        # From 0 on, whatever was never seen yet: a first move is a rise, and Prometheus counts rises.
        self._moves = {(event.value, to.value): 0 for (_, event), to in TRANSITIONS.items()} | {ADMITTED: 0}

    def looked(self, values: Values, moved: Mapping[tuple[str, str], int]) -> None:
        """Tell *values* from now on, and *moved* on top of what moved before."""
        self._values = values
        self._moves = {**self._moves, **{one: self._moves.get(one, 0) + count for one, count in moved.items()}}

    def found(self, findings: Iterable[tuple[str, str]]) -> None:
        """Tell what an examination found, as (severity, check) for each; none where somebody else examines now."""
        self._findings = dict(Counter(findings))

    def collect(self) -> Iterator[Metric]:
        """Every gauge that has a value, and the counter of moves."""
        for name, children in {**self._values, "c2a_findings": self._findings}.items():
            what, labels = GAUGES[name]
            family = GaugeMetricFamily(name, what, labels=labels)
            for values, value in children.items():
                family.add_metric(values, value)
            yield family
        name, what, labels = MOVES
        counter = CounterMetricFamily(name, what, labels=labels)
        for moved, count in self._moves.items():
            counter.add_metric(moved, count)
        yield counter


@cache
def snapshot() -> Snapshot:
    """This process's."""
    return Snapshot()
