"""Faults of the product's own processes: killed, or stopped for longer than what they hold is theirs."""

from __future__ import annotations

from typing import Final

import psutil

from deploy.crashtest.hand import Hand

WORKERS: Final = ("worker-offer-lock", "worker-payment", "worker-tokenization", "worker-upkeep")
STOPPED_S: Final = 18.0
"""Three leases of 6 s: another worker has the order by then."""
HOLDERS_AT_MOST: Final = 3
"""Of eight payment processes; the others must be able to take over."""


async def api_worker_killed(hand: Hand) -> str:
    """One of the API's processes, in the middle of whatever it answers."""
    children = hand.target.family("api")[1:]
    reached = hand.kill(hand.dice.sample(children, min(1, len(children))))
    await hand.api_back()
    return f"API process: {reached} killed"


async def api_killed(hand: Hand) -> str:
    """The whole API, its master first so that nobody is forked meanwhile."""
    family = hand.target.family("api")
    reached = hand.kill(family)
    if family:
        await hand.reborn("api", family[0].pid)
    await hand.api_back()
    return f"whole API: {reached} killed"


async def worker_child_killed(hand: Hand) -> str:
    """A payment process that holds an order, if one does; its parent and its sisters live."""
    holders = _holders(hand)
    children = holders or hand.target.family("worker-payment")[1:]
    reached = hand.kill(hand.dice.sample(children, min(1, len(children))))
    return f"payment process {'with' if holders else 'without'} an order: {reached} killed"


async def worker_killed(hand: Hand) -> str:
    """The supervised process of one worker; its children are ended by its supervisor."""
    name = hand.dice.choice(WORKERS)
    family = hand.target.family(name)
    if not family:
        return f"{name}: between two lives"
    reached = hand.kill(family[:1])
    await hand.reborn(name, family[0].pid)
    return f"{name}: {reached} killed"


async def all_workers_killed(hand: Hand) -> str:
    """The whole engine room at once."""
    families = {name: hand.target.family(name) for name in WORKERS}
    reached = hand.kill(process for family in families.values() for process in family)
    for name, family in families.items():
        if family:
            await hand.reborn(name, family[0].pid)
    return f"all workers: {reached} processes killed"


async def worker_stopped(hand: Hand) -> str:
    """Payment processes that hold orders sleep past their leases and wake up to news that is not theirs any more."""
    held = _holders(hand)
    children = held or hand.target.family("worker-payment")[1:]
    sample = hand.dice.sample(children, min(HOLDERS_AT_MOST, len(children)))
    reached = await hand.stop_for(sample, STOPPED_S)
    return f"{reached} payment processes ({len(held)} held orders) stopped for {STOPPED_S:g} s"


def _holders(hand: Hand) -> list[psutil.Process]:
    holders = hand.before.holders if hand.before else ()
    return [child for child in hand.target.family("worker-payment")[1:] if child.pid in holders]
