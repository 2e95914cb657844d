"""Faults of the payment provider, by the sandbox's own switches (deploy/sandbox/README.md)."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Final

import aiohttp

from deploy.crashtest.hand import Blow, Hand

LASTS_S: Final = 4.0
WEBHOOKS_LAST_S: Final = 8.0
DELAY_MS: Final = 60
"""What the PSP takes for every call of a run: without it hardly an order would ever be found in the middle."""
HEALTHY_WEBHOOKS: Final = {"delayMs": 0, "jitterMs": 0, "duplicate": 0.0, "reorder": 0.0, "lossRate": 0.0}
JITTER_MS: Final = 3_000
UNDELIVERED: Final = frozenset({"lost", "waiting", "failed"})


async def answers_lost(hand: Hand) -> Blow:
    """The charge is in the ledger, its answer never comes: cut off, a 5xx, not JSON, or silence."""
    rates = {"dropAfter": 0.25, "http500After": 0.2, "malformed": 0.1, "timeoutAfter": 0.02}
    await hand.psp_for(LASTS_S, {"rates": rates}, {"rates": {}})
    return Blow(f"answers lost after the charge for {LASTS_S:g} s", 1)


async def refuses(hand: Hand) -> Blow:
    """429: said before anything is started."""
    await hand.psp_for(LASTS_S, {"rates": {"http429": 0.5}}, {"rates": {}})
    return Blow(f"429 to half of the charges for {LASTS_S:g} s", 1)


async def fails(hand: Hand) -> Blow:
    """500 or a closed connection with nothing written: unknown until no late request can become a charge."""
    await hand.psp_for(LASTS_S, {"rates": {"http500": 0.2, "drop": 0.1}}, {"rates": {}})
    return Blow(f"5xx and closed connections before the charge for {LASTS_S:g} s", 1)


async def is_down(hand: Hand) -> Blow:
    """Every call is 503, or every connection is reset."""
    how = hand.dice.choice(("503", "closed"))
    await hand.psp_for(LASTS_S, {"down": how}, {"down": "no"})
    return Blow(f"PSP {how} for {LASTS_S:g} s", 1)


async def is_slow(hand: Hand) -> Blow:
    """Answers come seconds after their charges, and after their webhooks."""
    await hand.psp_for(LASTS_S, {"answerDelayMs": 2_500}, {"answerDelayMs": 0})
    return Blow(f"answers 2.5 s late for {LASTS_S:g} s", 1)


async def webhooks_troubled(hand: Hand) -> Blow:
    """Webhooks late, doubled, reordered and lost, whatever their charge."""
    troubled = {"jitterMs": JITTER_MS, "duplicate": 0.4, "reorder": 0.4, "lossRate": 0.2}
    await hand.psp_for(WEBHOOKS_LAST_S, {"webhook": troubled}, {"webhook": HEALTHY_WEBHOOKS})
    await asyncio.sleep(JITTER_MS / 1000)  # The last of them is on its way until then.
    return Blow(f"webhooks late, doubled, reordered, lost for {WEBHOOKS_LAST_S:g} s", 1)


async def deliver_lost(http: aiohttp.ClientSession, psp_url: str, charges: Collection[str]) -> None:
    """Send again what was not delivered about *charges* (PSP references), as PSPs do for days.

    For payments that are pending: their bank may take weeks, so they are asked about by the hour, and a run is over
    before that. Every other order must find its end without the webhook it lost.
    """
    for charge in charges:
        async with http.get(f"{psp_url}/webhooks", params={"pspReference": charge}) as answer:
            told = (await answer.json())["webhooks"]
        for webhook in told:
            if webhook["state"] in UNDELIVERED:
                async with http.post(f"{psp_url}/webhooks/{webhook['id']}/send") as answer:
                    answer.raise_for_status()
