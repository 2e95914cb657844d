"""One load from beginning to end, within a time that is known before: arrivals, then what it takes them to finish."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from deploy.load.crowd import Crowd
from deploy.load.mix import Mix
from deploy.load.shopper import Shop
from deploy.load.timed import Timed
from shared.client import AsyncCheckout, Terms

FINISH_S: Final = 90.0
"""How long shoppers may take after the last has come: thirty polls of two seconds, and a challenge between."""
PAGE_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Asked:
    """What a run is to do."""

    url: str
    tenant: str
    key: str = field(repr=False)
    rate: float
    seconds: float
    think_s: float
    mix: Mix
    held: float
    seed: int
    elsewhere: bool = False


@dataclass(slots=True)
class Progress:
    """How far a run has come, for whoever watches it."""

    crowd: Crowd | None = None
    started: float = field(default_factory=time.monotonic)


async def load(asked: Asked, progress: Progress) -> dict[str, Any]:
    """Run it; the report's document. Raises Refused or NoAnswer where not even the first card could be stored."""
    timed = Timed(httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=None, max_keepalive_connections=None)))
    dice = random.Random(asked.seed)  # noqa: S311 - deals out shoppers, guards nothing
    async with httpx.AsyncClient(transport=timed) as http:
        terms = Terms(dice=dice)
        checkout = AsyncCheckout(asked.url, tenant=asked.tenant, key=asked.key, terms=terms, http=http)

        async def press(page: str) -> bool:
            if not (asked.elsewhere or is_loopback(page)):
                return False
            try:
                answer = await http.post(page, data={"decision": "approve"}, timeout=PAGE_S)
                back = answer.headers.get("location")
                if back is not None:
                    await http.get(back, timeout=PAGE_S)
            except httpx.RequestError:
                return False  # Counted by its type beneath, as every call.
            return back is not None

        crowd = Crowd(Shop(checkout, dice, press, asked.think_s, asked.held, []), asked.mix)
        await crowd.keep_cards()
        progress.crowd, progress.started = crowd, time.monotonic()
        await crowd.arrive(asked.rate, asked.seconds)
        arrived_s = time.monotonic() - progress.started
        await crowd.leave(FINISH_S)
        return _document(asked, crowd, timed, arrived_s, time.monotonic() - progress.started)


def is_loopback(url: str) -> bool:
    """Whether *url* leads to this machine, by its address; a name may lead anywhere but localhost (RFC 6761)."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _document(asked: Asked, crowd: Crowd, timed: Timed, arrived_s: float, took_s: float) -> dict[str, Any]:
    finished, polls = crowd.ended.total(), timed.calls["poll"].codes.total()
    return {
        "seed": asked.seed,
        "asked": {"arrivalsPerSecond": asked.rate, "seconds": asked.seconds, "thinkSeconds": asked.think_s},
        "seconds": round(took_s, 2),
        "arrived": crowd.arrived,
        "arrivalsPerSecond": round(crowd.arrived / arrived_s, 2) if arrived_s else 0.0,
        "accepted": crowd.accepted,
        "ended": dict(sorted(crowd.ended.items())),
        "left": dict(sorted((+crowd.left).items())),
        "polls": {"perOrder": round(polls / finished, 2) if finished else 0.0, "most": crowd.most_polls},
        "heldBackSeconds": round(crowd.held_back_s, 2),
        "latestArrivalMs": round(1_000 * crowd.latest_s, 2),
        "calls": timed.documents(took_s),
    }
