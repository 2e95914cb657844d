"""The event loop of plans is a queue as theory has it; it ends, and says when a queue would not."""

from __future__ import annotations

import math
from random import Random
from statistics import mean

import pytest

from shared.planning.simulation import Run, Seen, Service, Station, percentile, run, seen

COUNT = 40_000


def erlang_c(servers: int, load: float) -> float:
    """The share of those who have to wait, for Poisson arrivals and exponential service."""
    last = load**servers / math.factorial(servers) * servers / (servers - load)
    return last / (sum(load**n / math.factorial(n) for n in range(servers)) + last)


def exponential(mean_s: float) -> Service:
    return lambda chance: chance.expovariate(1 / mean_s)


def a_run(*stations: Station, per_second: float, count: int = COUNT, seed: int = 7) -> Run:
    return run(stations, per_second=per_second, count=count, random=Random(seed))


@pytest.mark.parametrize(("servers", "load"), [(1, 0.5), (2, 1.4), (10, 7.0), (40, 34.0)])
def test_waits_and_shares_are_those_of_theory(servers: int, load: float) -> None:
    [found] = a_run(Station(servers, exponential(1.0)), per_second=load).seen

    waits, waiting = found.waits_s, erlang_c(servers, load)
    assert found.busy == pytest.approx(load / servers, abs=0.02)
    assert sum(wait > 0 for wait in waits) / len(waits) == pytest.approx(waiting, abs=0.06)
    assert mean(waits) == pytest.approx(waiting / (servers - load), rel=0.25)


def test_who_passes_two_stations_takes_the_time_of_both() -> None:
    ways = (Station(50, lambda _: 0.25), Station(50, lambda _: 0.5))

    took = a_run(*ways, per_second=10, count=2_000).took_s

    assert min(took) == pytest.approx(0.75)
    assert percentile(sorted(took), 0.99) == pytest.approx(0.75, abs=0.01)


def test_one_server_serves_in_the_order_of_coming() -> None:
    station = Station(1, exponential(0.9))

    a_run(station, per_second=1, count=3_000)

    assert station.came_s == sorted(station.came_s)
    assert all(later >= ended for ended, later in zip(station.ended_s, station.began_s[1:], strict=False))


def test_the_same_seed_gives_the_same_run_and_another_one_another() -> None:
    def took(seed: int) -> list[float]:
        return a_run(Station(3, exponential(1.0)), per_second=2, count=500, seed=seed).took_s

    assert took(1) == took(1)
    assert took(1) != took(2)


@pytest.mark.parametrize(("load", "grows"), [(0.8, False), (1.1, True), (2.0, True)])
def test_a_queue_that_grows_is_seen_growing_and_the_run_ends(load: float, grows: bool) -> None:
    result = a_run(Station(10, exponential(1.0)), per_second=10 * load)

    assert (result.seen[0].growth > 0.02) is grows
    assert len(result.took_s) == COUNT * 4 // 5


def test_of_nothing_there_is_no_wait_and_no_growth() -> None:
    nothing = seen(Station(1, exponential(1.0)), from_s=0.0, to_s=1.0)

    assert nothing == Seen(busy=0.0, waits_s=[], growth=0.0)
    assert percentile([], 0.5) == 0.0
