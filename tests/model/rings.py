"""Messages, as far as they matter: with a rescuer any step may be rung for at any moment, and twice.

The rescuer rings whatever a live row needs until it moves, so "a ring may come at any moment, again and again, or not
for long" covers lost, late and doubled messages alike, and the broker needs no place in the state. Only the question
what becomes of an order when nobody rings again needs the messages themselves.
"""

from __future__ import annotations

from typing import Final

from shared.messages import CHAIN_FROM, STEP_FOR
from shared.messages import Step as Task
from tests.model.bugs import Bug, Setting
from tests.model.world import World

_BIT: Final = {task: 1 << index for index, task in enumerate(Task)}


def is_rung(world: World, task: Task, setting: Setting) -> bool:
    """Whether a message may arrive that asks for *task*."""
    return Bug.NO_RESCUER not in setting.bugs or bool(world.rings & _BIT[task])


def taken(world: World, task: Task, setting: Setting) -> World:
    """The message for *task* has arrived."""
    return world._replace(rings=world.rings & ~_BIT[task]) if Bug.NO_RESCUER in setting.bugs else world


def rung(world: World, task: Task, setting: Setting) -> World:
    """Somebody rings for *task*."""
    return world._replace(rings=world.rings | _BIT[task]) if Bug.NO_RESCUER in setting.bugs else world


def rung_for_state(world: World, setting: Setting) -> World:
    """Somebody who moved the order rings for what its new state needs."""
    task = STEP_FOR.get(world.state)
    return world if task is None else rung(world, task, setting)


def chained(world: World, task: Task, setting: Setting) -> World:
    """The chain goes on with the step after *task*."""
    later = CHAIN_FROM[task][1:]
    return rung(world, later[0], setting) if later else world
