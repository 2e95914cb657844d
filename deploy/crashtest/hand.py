"""What a fault is done with: the stack, dice of its own, and the means to see that a thing came back."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import psutil

from deploy.crashtest import probe
from deploy.crashtest.probe import InFlight
from deploy.crashtest.target import Target, send

BACK_WITHIN_S: Final = 60.0
"""A supervisor starts a dead process at once, or after 5 s at most; PostgreSQL replays its log in seconds."""
LOOK_EVERY_S: Final = 0.05


class NotBack(RuntimeError):
    """A part of the stack did not come back by itself."""


@dataclass(frozen=True, slots=True)
class Blow:
    """What a fault did. *reached*: processes, sessions, keys or calls it met; one that reached nothing was none."""

    what: str
    reached: int


@dataclass(frozen=True, slots=True)
class Hand:
    """The means of one fault. *before*: what was in flight when it was decided on."""

    target: Target
    http: aiohttp.ClientSession
    dice: random.Random
    before: InFlight | None

    def kill(self, processes: Iterable[psutil.Process]) -> int:
        """kill -9; how many it reached."""
        return send(processes, signal.SIGKILL)

    async def kill_whole(self, name: str) -> int:
        """kill -9 of every process of *name*, its main one first; how many it reached, once another lives.

        Raises NotBack.
        """
        family = self.target.family(name)
        reached = self.kill(family)
        if family:
            await self.reborn(name, family[0].pid)
        return reached

    async def stop_for(self, processes: list[psutil.Process], seconds: float) -> int:
        """SIGSTOP, *seconds* later SIGCONT, whatever happens in between; how many it reached."""
        reached = send(processes, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            send(processes, signal.SIGCONT)
        return reached

    async def reborn(self, name: str, before: int) -> None:
        """Return once *name* has another process than *before*. Raises NotBack."""
        await self.until(lambda: self.target.main_of(name) not in (None, before), name)

    async def until(self, holds: Callable[[], bool], what: str) -> None:
        """Return once *holds*; it may block, so it is asked in a thread. Raises NotBack naming *what*."""
        ends_at = time.monotonic() + BACK_WITHIN_S
        while not await asyncio.to_thread(holds):
            if time.monotonic() > ends_at:
                raise NotBack(f"{what} was not back {BACK_WITHIN_S:g} s after a fault")
            await asyncio.sleep(LOOK_EVERY_S)

    async def database_back(self) -> None:
        """Return once PostgreSQL answers. Raises NotBack."""
        dsn = self.target.text("postgresDsn")
        await self.until(lambda: probe.answers(dsn), "PostgreSQL")

    async def api_back(self) -> None:
        """Return once the API answers at all. Raises NotBack."""
        url = f"{self.target.text('baseUrl')}/healthz"
        ends_at = time.monotonic() + BACK_WITHIN_S
        while not await self._answers(url):
            if time.monotonic() > ends_at:
                raise NotBack(f"the API was not back {BACK_WITHIN_S:g} s after a fault")
            await asyncio.sleep(LOOK_EVERY_S)

    async def psp(self, **faults: Any) -> None:
        """Lay *faults* over those in force at the sandbox PSP (deploy/sandbox/README.md)."""
        async with self.http.post(f"{self.target.psp_url}/faults", json=faults) as answer:
            answer.raise_for_status()

    async def psp_for(self, seconds: float, faults: dict[str, Any], healed: dict[str, Any]) -> None:
        """*faults* at the PSP for *seconds*, then *healed*, whatever happens in between."""
        await self.psp(**faults)
        try:
            await asyncio.sleep(seconds)
        finally:
            await self.psp(**healed)

    async def _answers(self, url: str) -> bool:
        try:
            async with self.http.get(url, timeout=aiohttp.ClientTimeout(total=2)) as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False
