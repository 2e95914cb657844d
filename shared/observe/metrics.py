"""What is counted and timed, by name: the RED figures (rate, errors, duration) of routes, steps and calls to PSPs.

A label takes few values and never a tenant's, a customer's or an order's: a PSP is its adapter's name, since a tenant
names its accounts itself, and a route is its rule. A histogram's own count is the rate and its labels tell the errors,
so a request costs one update: two writes to mapped memory, 3 to 6 us.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from typing import Final, Generic, TypeVar

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.metrics import MetricWrapperBase

from shared.observe import counts
from shared.observe.slots import NoSlot

log = structlog.get_logger(__name__)

M = TypeVar("M", bound=MetricWrapperBase)

REQUEST_S: Final = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 15.0, 30.0)
"""A poll takes 2 ms and an admission 5; 2 s is when the contract wants a 503, 15 s the longest call to a PSP that a
route makes, 30 s the longest a poll may be held."""
STEP_S: Final = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0, 60.0)
"""A step without a PSP takes some milliseconds, one with it as long as that; a lease ends after 30 s, a hung child is
killed after 60."""
CALL_S: Final = (0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0, 15.0)
"""PSPs answer a charge within 0.2 to 2 s; 10 s is the longest wait for an answer, 15 s the end of any call."""

REST_S: Final = 10.0
"""How long nothing is counted after there was no room for it."""
PREFIXES: Final = ("/api/v1", "/api")
"""A route is one route under either of them."""
_rests_until = 0.0


class Children(dict[tuple[str, ...], M], Generic[M]):
    """The children of a metric by their labels' values: found in a tenth of the time that `labels` takes."""

    def __init__(self, metric: M, add: Callable[[M, float], None]) -> None:
        super().__init__()
        self.metric: M = metric
        self._add = add
        if not metric._labelnames:
            self[()] = metric

    def __missing__(self, values: tuple[str, ...]) -> M:
        child = self[values] = self.metric.labels(*values)
        return child

    def add(self, values: tuple[str, ...], amount: float) -> None:
        """Count *amount* for the child with these values of its labels."""
        self._add(self[values], amount)


class Metrics:
    """The counters and histograms of one process."""

    def __init__(self) -> None:
        self.own = CollectorRegistry()
        histogram = self._histogram
        self.requests = histogram(
            "c2a_http_request_seconds", "Requests by route.", ("method", "route", "status"), REQUEST_S
        )
        self.steps = histogram(
            "c2a_step_seconds", "Steps of orders; ended: goes_on, ends (the chain), failed.", ("step", "ended"), STEP_S
        )
        self.calls = histogram(
            "c2a_psp_call_seconds", "Calls to PSPs by how they ended.", ("adapter", "verb", "ended"), CALL_S
        )
        self.rings = self._counter("c2a_rings", "Messages for the broker; told: sent, dropped.", ("told",))
        self.rescues = self._counter("c2a_rescues", "Orders that were overdue and rung for.", ("state", "lane"))
        self.parks = self._counter("c2a_parks", "Orders parked after taking their workers down.", ())

    def _histogram(
        self, name: str, what: str, labels: tuple[str, ...], buckets: tuple[float, ...]
    ) -> Children[Histogram]:
        return Children(Histogram(name, what, labels, buckets=buckets, registry=self.own), Histogram.observe)

    def _counter(self, name: str, what: str, labels: tuple[str, ...]) -> Children[Counter]:
        return Children(Counter(name, what, labels, registry=self.own), Counter.inc)


@cache
def metrics() -> Metrics:
    """This process's, made when it first counts: after counts.share, where anybody shares them."""
    return Metrics()


def exposed() -> CollectorRegistry:
    """What a scrape of this program reads."""
    return counts.shared_by_all() or metrics().own


@cache
def _labels(method: str, rule: str | None, status: int) -> tuple[str, str, str]:
    """A request's labels. What no route has came from outside, and so did its method: both are one value."""
    if rule is None:
        return "none", "none", str(status)
    prefix = next((prefix for prefix in PREFIXES if rule.startswith(prefix + "/")), "")
    return method, rule.removeprefix(prefix), str(status)


def request_took(method: str, rule: str | None, status: int, seconds: float) -> None:
    """Count a request of the route *rule* (None: of none) that was answered with *status*."""
    _tell("requests", _labels(method if rule else "", rule, status), seconds)


def step_took(step: str, ended: str, seconds: float) -> None:
    """Count a step that took so long; *ended*: goes_on, ends or failed."""
    _tell("steps", (step, ended), seconds)


def call_took(adapter: str, verb: str, ended: str, seconds: float) -> None:
    """Count a call to a PSP of *adapter*."""
    _tell("calls", (adapter, verb, ended), seconds)


def rang(told: str, messages: int) -> None:
    """Count messages for the broker: sent or dropped."""
    _tell("rings", (told,), messages)


def rescued(state: str, lane: str) -> None:
    """Count an order that was overdue in *state* and rung for."""
    _tell("rescues", (state, lane), 1)


def parked() -> None:
    """Count an order that is parked from now on."""
    _tell("parks", (), 1)


def _tell(what: str, values: tuple[str, ...], amount: float) -> None:
    """Count, and where there is no room to count in say so, leave it for a while, and stand in nobody's way."""
    global _rests_until
    if time.monotonic() < _rests_until:
        return
    try:
        children: Children[Counter] | Children[Histogram] = getattr(metrics(), what)
        children.add(values, amount)
    except (OSError, NoSlot) as error:
        _rests_until = time.monotonic() + REST_S
        log.error("metrics.not_counted", error=type(error).__name__)  # noqa: TRY400 - a trace would tell no more.
