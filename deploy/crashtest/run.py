"""One crash test from beginning to end: load, faults, healing, rest, a scan for cards, records, verdict."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Final

import aiohttp

from deploy.crashtest import canaries, evidence, places, plan, probe, psp_faults, stranger
from deploy.crashtest.client import Client
from deploy.crashtest.crowd import Crowd
from deploy.crashtest.hand import NotBack
from deploy.crashtest.history import History
from deploy.crashtest.injector import Injector
from deploy.crashtest.leaks import leaks
from deploy.crashtest.psp_faults import DELAY_MS
from deploy.crashtest.records import Violation
from deploy.crashtest.shelf import stocked
from deploy.crashtest.target import Target
from deploy.crashtest.verdict import Run, Verdict, judge

REST_WITHIN_S: Final = 360.0
"""The target is 60 s; a look-up that met its PSP in trouble once too often comes again after five minutes, and the
longest challenge comes on top. So a run that is late still says by how much."""
LOOK_EVERY_S: Final = 0.25
LEAVE_WITHIN_S: Final = 15.0
"""Shoppers poll every two or three seconds; one that waits for a broken call has its client's patience."""


@dataclass(slots=True)
class Progress:
    """How far a run has come, for whoever watches it."""

    phase: str = "begins"
    crowd: Crowd | None = None
    faults: int = 0
    started: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a run is to do."""

    target: Target
    folder: Path
    seed: int
    seconds: float
    rate: float
    say: Callable[[str], None]
    progress: Progress


async def crash(asked: Asked) -> Verdict:
    """Run it. Raises NoStack or an error of a stack that was not healthy when we came."""
    target, dsn = asked.target, asked.target.text("postgresDsn")
    earlier = await asyncio.to_thread(probe.known_numbers, dsn)
    planned = plan.deal(random.Random(asked.seed), seconds=asked.seconds, programs=target.programs())  # noqa: S311
    count = round(asked.rate * asked.seconds)
    shelf = await asyncio.to_thread(stocked, dsn, target.text("tenant"), count, seconds=asked.seconds)
    foreign = await asyncio.to_thread(stranger.headers, dsn, seconds=asked.seconds)
    connector = aiohttp.TCPConnector(limit=0)  # The client itself counts what is in flight.
    with History(asked.folder / "history.jsonl") as history:
        async with aiohttp.ClientSession(connector=connector) as http, aiohttp.ClientSession() as own:
            url, dice = target.text("baseUrl"), random.Random(f"{asked.seed}/crowd")  # noqa: S311
            client = Client(http, history, base_url=url, headers=target.headers)
            crowd = Crowd(url, client, Client(http, history, base_url=url, headers=foreign), dice, shelf)
            asked.progress.crowd = crowd
            faults = asked.folder / "faults.jsonl"
            injector = Injector(target, own, asked.seed, faults, lambda: client.waiting, asked.say)
            trouble = await _storm(asked, crowd, injector, planned)
            over = time.monotonic()
            await psp_faults.deliver_lost(own, target.psp_url, await asyncio.to_thread(probe.pending_charges, dsn))
            rest_s = await _at_rest(asked, crowd, over)
            late = await crowd.leave(LEAVE_WITHIN_S)
    if crowd.errors:
        raise ExceptionGroup("shoppers met what they were not made for", crowd.errors)
    asked.progress.phase = "leak scan"
    leaked, scanned_mib = await asyncio.to_thread(_leaks, target, crowd)
    met = {"heldBackS": round(crowd.held_back_s, 1), "gaveUp": crowd.gave_up, "sentHome": late}
    struck = [fault for fault in injector.struck if fault.reached]
    run = Run(asked.seed, asked.seconds, asked.rate, struck, rest_s, [*trouble, *leaked], met, scanned_mib)
    asked.progress.phase = "judged"
    return judge(run, await asyncio.to_thread(evidence.collect, target, asked.folder, earlier))


async def _storm(asked: Asked, crowd: Crowd, injector: Injector, planned: list[plan.Planned]) -> list[Violation]:
    """Load and faults at once; heals everything at the end. What did not come back is a broken promise."""
    trouble: list[Violation] = []
    await _psp(asked, injector.http, {"latencyMs": DELAY_MS})
    try:
        asked.progress.phase = "load"
        await crowd.keep_cards()
        async with asyncio.TaskGroup() as group:
            group.create_task(crowd.arrive(asked.rate, asked.seconds))
            group.create_task(injector.run(planned))
    except* NotBack as errors:
        trouble += [Violation("I2", "the stack", str(error)) for error in _leaves(errors)]
    finally:
        await _psp(asked, injector.http, None)
    return trouble


def _leaks(target: Target, crowd: Crowd) -> tuple[list[Violation], float]:
    """Where a card of *crowd* stands (I7), in all that the stack holds or wrote; and how much that was, in MiB."""
    read = 0

    def counted() -> Iterator[tuple[str, bytes]]:
        nonlocal read
        for place, content in chain(
            places.on_disk(target.home),
            places.in_broker(target.text("brokerUrl")),
            places.in_redis("vault", target.text("vaultUrl")),
        ):
            read += len(content)
            yield place, content

    found = leaks(counted(), [*crowd.cards.values(), *canaries.CODES])
    return found, round(read / (1 << 20), 1)


def _leaves(group: BaseExceptionGroup[NotBack]) -> list[NotBack]:
    """The errors themselves, out of the groups of nested task groups."""
    return [
        leaf for one in group.exceptions for leaf in (_leaves(one) if isinstance(one, BaseExceptionGroup) else [one])
    ]


async def _psp(asked: Asked, http: aiohttp.ClientSession, faults: dict[str, int] | None) -> None:
    """Set *faults* at the sandbox PSP; None heals it."""
    method = "DELETE" if faults is None else "POST"
    async with http.request(method, f"{asked.target.psp_url}/faults", json=faults) as answer:
        answer.raise_for_status()


async def _at_rest(asked: Asked, crowd: Crowd, since: float) -> float | None:
    """Wait until every shopper is served, every order terminal and no money open; how long it took, None: too long."""
    asked.progress.phase = "rest"
    dsn = asked.target.text("postgresDsn")
    within_s = REST_WITHIN_S + float(asked.target.setting("C2A_CHALLENGE_LIFE_S", "900"))
    while (waited := time.monotonic() - since) < within_s:
        if not crowd.unserved and await asyncio.to_thread(probe.unrest, dsn) == 0:
            return round(waited, 1)
        await asyncio.sleep(LOOK_EVERY_S)
    return None
