"""Faults of the product's own processes: killed, or stopped for longer than what they hold is theirs."""

from __future__ import annotations

import asyncio
import time
from typing import Final

import psutil
import psycopg

from deploy.crashtest import probe
from deploy.crashtest.hand import LOOK_EVERY_S, Blow, Hand
from deploy.crashtest.psp_faults import HEALTHY_WEBHOOKS
from shared.patience import CRASHES_TO_PARK

WORKER: Final = "worker-"
PAYMENT: Final = "worker-payment"
"""How the names of all workers, and of those that pay, begin: one worker a queue, or several that serve all."""
STOPPED_S: Final = 18.0
"""More than four leases of 4 s: another worker has the order by then."""
POISON_S: Final = 30.0
"""Five leases of 4 s, the looks between them, and a few seconds for what else is broken meanwhile."""
CLAIM_LOOK_EVERY_S: Final = 0.02
"""A claim lasts for one call to the PSP, 60 ms at least (psp_faults.DELAY_MS)."""
HOLDERS_AT_MOST: Final = 3
"""Of sixteen payment processes, and half of fewer; the others must be able to take over."""


async def api_worker_killed(hand: Hand) -> Blow:
    """One of the API's processes, in the middle of whatever it answers."""
    children = hand.target.family("api")[1:]
    reached = hand.kill(hand.dice.sample(children, min(1, len(children))))
    await hand.api_back()
    return Blow(f"API process: {reached} killed", reached)


async def api_killed(hand: Hand) -> Blow:
    """The whole API, its master first so that nobody is forked meanwhile."""
    reached = await hand.kill_whole("api")
    await hand.api_back()
    return Blow(f"whole API: {reached} killed", reached)


async def worker_child_killed(hand: Hand) -> Blow:
    """A payment process that holds an order, if one does; its parent and its sisters live."""
    holders = _holders(hand)
    payers = holders or _payers(hand)
    reached = hand.kill(hand.dice.sample(payers, min(1, len(payers))))
    return Blow(f"payment process {'with' if holders else 'without'} an order: {reached} killed", reached)


async def worker_killed(hand: Hand) -> Blow:
    """The supervised process of one worker; its children are ended by its supervisor."""
    name = hand.dice.choice(hand.target.names(WORKER))
    family = hand.target.family(name)
    if not family:
        return Blow(f"{name}: between two lives", 0)
    reached = hand.kill(family[:1])
    await hand.reborn(name, family[0].pid)
    return Blow(f"{name}: {reached} killed", reached)


async def all_workers_killed(hand: Hand) -> Blow:
    """The whole engine room at once."""
    families = {name: hand.target.family(name) for name in hand.target.names(WORKER)}
    reached = hand.kill(process for family in families.values() for process in family)
    for name, family in families.items():
        if family:
            await hand.reborn(name, family[0].pid)
    return Blow(f"all workers: {reached} processes killed", reached)


async def poison_order(hand: Hand) -> Blow:
    """An order that takes down whoever pays it, until nobody pays it any more (design: 5 crashes park it).

    Webhooks are lost meanwhile: one would tell of the money, and nobody would have to pay the order again.
    """
    await hand.psp(webhook={"lossRate": 1.0})
    try:
        return await asyncio.to_thread(_poison, hand)
    finally:
        await hand.psp(webhook=HEALTHY_WEBHOOKS)


def _poison(hand: Hand) -> Blow:
    number, fence, kills, ends_at = None, 0, 0, time.monotonic() + POISON_S
    while kills < CRASHES_TO_PARK and time.monotonic() < ends_at:
        claim = _claimed(hand, number, fence, ends_at)
        if claim is None:
            break
        fence = claim.fence
        if hand.kill(one for one in _payers(hand) if one.pid == claim.holder):
            number, kills = claim.tracking_number, kills + 1
    return Blow(f"poison order {number}: {kills} payment processes killed", kills)


def _claimed(hand: Hand, number: str | None, fence: int, ends_at: float) -> probe.Claim | None:
    """The next claim of the order (of any, without a *number*) after the one with *fence*; None if none came."""
    while time.monotonic() < ends_at:
        try:
            with probe.connected(hand.target.text("postgresDsn")) as conn:
                while time.monotonic() < ends_at:
                    claim = probe.claim(conn, number)
                    if claim is not None and (number is None or claim.fence > fence):
                        return claim
                    time.sleep(CLAIM_LOOK_EVERY_S)
        except psycopg.OperationalError:
            time.sleep(LOOK_EVERY_S)  # By another fault; it comes back.
    return None


async def worker_stopped(hand: Hand) -> Blow:
    """Payment processes that hold orders sleep past their leases and wake up to news that is not theirs any more."""
    held, payers = _holders(hand), _payers(hand)
    sample = hand.dice.sample(held or payers, min(HOLDERS_AT_MOST, len(held or payers), max(1, len(payers) // 2)))
    reached = await hand.stop_for(sample, STOPPED_S)
    return Blow(f"{reached} payment processes ({len(held)} held orders) stopped for {STOPPED_S:g} s", reached)


def _payers(hand: Hand) -> list[psutil.Process]:
    """The processes that pay: the children of a pool of processes, else the worker itself, which has threads."""
    families = (hand.target.family(name) for name in hand.target.names(PAYMENT))
    return [process for family in families for process in family[1:] or family]


def _holders(hand: Hand) -> list[psutil.Process]:
    holders = hand.before.holders if hand.before else ()
    return [payer for payer in _payers(hand) if payer.pid in holders]
