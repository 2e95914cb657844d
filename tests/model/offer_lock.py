"""Two orders reach for one single-use offer, two workers, every message as often as it likes: workers/lock_offer.py.

What follows the lock is only its outcome here: the order is paid, or it fails and lets go of the offer in the same
statement. Whoever fails an order fails it as they read it: it may have moved on since.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Final, NamedTuple

from shared.domain.states import TERMINAL, OrderState, next_state
from shared.domain.states import OrderEvent as E
from shared.domain.states import OrderState as S
from tests.model.graph import Kind, Model, Step
from tests.model.settling import MOVES

NOBODY: Final = -1
BEFORE_LOCK: Final = frozenset({S.ADMITTED, S.FAILED})


class Bug(StrEnum):
    """A planted bug, in words."""

    CHECK_THEN_HOLD = "the hold is looked for first and written later, over whatever is there"
    HOLD_OUTLIVES_FAILURE = "an order that failed keeps its hold"
    HOLD_HAS_CLOCK = "a hold ends by itself while its order lives"
    HOLD_THEN_MOVE = "the hold is written without looking at the order it is for"
    RELEASE_WITHOUT_MOVE = "the hold is released even by a worker that came too late to fail the order"


class Job(StrEnum):
    """What a worker remembers between two statements."""

    IDLE = "idle"
    READ = "has read an admitted order"
    DENIED = "was denied the offer"
    UNPAYABLE = "has read a locked order and found nothing to pay it with"
    FOUND_FREE = "found the offer free"  # Bug.CHECK_THEN_HOLD alone.


class Worker(NamedTuple):
    """One worker."""

    job: Job = Job.IDLE
    order: int = NOBODY
    late: bool = False
    """Whether the order had waited for too long when it was read."""


class World(NamedTuple):
    """The whole state."""

    states: tuple[OrderState, OrderState] = (S.ADMITTED, S.ADMITTED)
    late: tuple[bool, bool] = (False, False)
    hold: int = NOBODY
    workers: tuple[Worker, Worker] = (Worker(), Worker())
    faults: int = 2


def model(bugs: frozenset[Bug] = frozenset()) -> Model[World]:
    """The offer lock with *bugs* planted."""
    return Model(World(), lambda world: _steps(world, bugs), _broken, _is_good, str)


def _steps(world: World, bugs: frozenset[Bug]) -> Iterator[tuple[Step, World]]:
    for order, state in enumerate(world.states):
        name = "AB"[order]
        if state is S.ADMITTED and not world.late[order]:
            late = (True, world.late[1]) if order == 0 else (world.late[0], True)
            yield Step(Kind.OPEN, f"Order {name} has waited for an hour."), world._replace(late=late)
        if state is S.OFFER_LOCKED:
            yield Step(Kind.PROMISED, f"Order {name} is paid."), _moved(world, order, E.PAYMENT_CAPTURED, bugs)
            yield Step(Kind.PROMISED, f"Order {name} is declined."), _moved(world, order, E.PAYMENT_DECLINED, bugs)
        if state is S.CAPTURED:
            yield Step(Kind.PROMISED, f"Order {name} is done."), _moved(world, order, E.STORING_SKIPPED, bugs)
        if world.hold == order and Bug.HOLD_HAS_CLOCK in bugs:
            yield Step(Kind.OPEN, f"The hold of order {name} runs out."), world._replace(hold=NOBODY)
    for which, worker in enumerate(world.workers):
        if worker.job is Job.IDLE:
            for order in range(2):
                if world.states[order] is S.ADMITTED:
                    read = Worker(Job.READ, order, world.late[order])
                    yield Step(Kind.PROMISED, f"A worker reads order {'AB'[order]}."), _with(world, which, read)
                if world.states[order] is S.OFFER_LOCKED:
                    lost = Step(Kind.OPEN, f"A worker finds nothing to pay order {'AB'[order]} with.")
                    yield lost, _with(world, which, Worker(Job.UNPAYABLE, order))
            continue
        for words, after in _works(world, which, worker, bugs):
            yield Step(Kind.PROMISED, f"A worker {words} order {'AB'[worker.order]}."), after
        if world.faults:
            dead = world._replace(faults=world.faults - 1)
            yield Step(Kind.FAULT, f"The worker with order {'AB'[worker.order]} dies."), _with(dead, which, Worker())


def _works(world: World, which: int, worker: Worker, bugs: frozenset[Bug]) -> Iterator[tuple[str, World]]:
    order = worker.order
    free = _with(world, which, Worker())
    if worker.job is Job.DENIED or (worker.job is Job.READ and worker.late):
        yield "refuses", _moved(free, order, E.OFFER_REFUSED, bugs, only_from=S.ADMITTED)
    elif worker.job is Job.UNPAYABLE:
        yield "fails", _moved(free, order, E.CARD_LOST, bugs, only_from=S.OFFER_LOCKED)
    elif worker.job is Job.FOUND_FREE:
        yield "holds the offer for", _moved(free._replace(hold=order), order, E.OFFER_HELD, bugs, only_from=S.ADMITTED)
    elif world.hold not in (NOBODY, order):
        yield "finds the offer taken for", _with(world, which, Worker(Job.DENIED, order))
    elif Bug.CHECK_THEN_HOLD in bugs:
        yield "finds the offer free for", _with(world, which, Worker(Job.FOUND_FREE, order))
    elif world.states[order] is S.ADMITTED:
        yield "holds the offer for", _moved(free._replace(hold=order), order, E.OFFER_HELD, bugs)
    elif Bug.HOLD_THEN_MOVE in bugs:
        yield "holds the offer for", free._replace(hold=order)
    else:
        yield "comes too late to hold", _with(world, which, Worker(Job.DENIED, order))


def _moved(world: World, order: int, event: E, bugs: frozenset[Bug], *, only_from: OrderState | None = None) -> World:
    """moves.advance: compare and set; a failed order lets go of its offer in the same statement."""
    state = world.states[order]
    if only_from is not None and state is not only_from:
        is_let_go = Bug.RELEASE_WITHOUT_MOVE in bugs and next_state(only_from, event) is S.FAILED
        return world._replace(hold=NOBODY) if is_let_go and world.hold == order else world
    MOVES.add((state, event))
    to = next_state(state, event)
    states = (to, world.states[1]) if order == 0 else (world.states[0], to)
    releases = to is S.FAILED and world.hold == order and Bug.HOLD_OUTLIVES_FAILURE not in bugs
    return world._replace(states=states, hold=NOBODY if releases else world.hold)


def _with(world: World, which: int, worker: Worker) -> World:
    workers = (worker, world.workers[1]) if which == 0 else (world.workers[0], worker)
    return world._replace(workers=(min(workers), max(workers)))


def _broken(world: World) -> str:
    holders = [order for order, state in enumerate(world.states) if state not in BEFORE_LOCK]
    if len(holders) > 1:
        return "a single-use offer is sold once"
    if world.hold != (holders[0] if holders else NOBODY):
        return "an offer is held exactly as long as its order is live or done"
    return ""


def _is_good(world: World) -> bool:
    return all(state in TERMINAL for state in world.states)
