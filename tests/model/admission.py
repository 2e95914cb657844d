"""Two callers, one idempotency key, connections that are cut at COMMIT: shared/store/admission.py as a model.

The statement that admits is its own transaction. When the connection is cut at its COMMIT, nobody knows whether it was
committed: until the database has decided, the row is neither seen nor gone, and whoever wants the same key waits.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Final, NamedTuple

from tests.model.graph import Kind, Model, Step

NOBODY: Final = -1
CALLERS: Final = ("The first caller", "The second caller")
POSTS: Final = 2
"""Each caller posts, and once more if it heard nothing."""


class Bug(StrEnum):
    """A planted bug, in words."""

    SELECT_PROBE = "after a cut COMMIT a SELECT decides whether the order is there"
    CHECK_THEN_INSERT = "the key is looked for first and inserted later, and nothing in the database forbids two"
    OFFER_BEFORE_KEY = "the offer is judged before the key is looked for"
    OWN_ORDER_REFUSED = "who finds its own number under its key takes it for just claimed, and judges the offer again"


class Phase(StrEnum):
    """Where one call stands."""

    AWAY = "away"
    STARTED = "its card is in the vault"
    CHECKED = "it found the key free"  # Bug.CHECK_THEN_INSERT alone.
    CUT = "its connection was cut at COMMIT"
    ACCEPTED = "heard 202"
    REFUSED = "heard 409"


class Call(NamedTuple):
    """One caller."""

    phase: Phase = Phase.AWAY
    posts: int = 0
    number: int = NOBODY
    """The tracking number its present call minted."""
    told: int = NOBODY
    """The tracking number it heard."""
    is_repeat: bool = False
    """Whether an order had the key when its present call came in."""


class World(NamedTuple):
    """The whole state. Tracking numbers are counted; sets of them are bits."""

    faults: int = 2
    fresh: bool = True
    minted: int = 0
    orders: int = 0
    undecided: int = 0
    """Written, and its COMMIT not decided yet."""
    cards: int = 0
    refused: int = 0
    """Numbers whose call was refused."""
    calls: tuple[Call, Call] = (Call(), Call())


EXPIRES: Final = Step(Kind.OPEN, "The offer expires.")
COMMITTED: Final = Step(Kind.PROMISED, "The database turns out to have committed.")
ROLLED_BACK: Final = Step(Kind.PROMISED, "The database turns out to have rolled back.")


def model(bugs: frozenset[Bug] = frozenset()) -> Model[World]:
    """Admission with *bugs* planted."""
    return Model(World(), lambda world: _steps(world, bugs), _broken, _is_good, str)


def _steps(world: World, bugs: frozenset[Bug]) -> Iterator[tuple[Step, World]]:
    if world.fresh:
        yield EXPIRES, world._replace(fresh=False)
    for number in range(world.minted):
        if world.undecided >> number & 1:
            decided = world._replace(undecided=world.undecided & ~(1 << number))
            yield COMMITTED, decided._replace(orders=world.orders | 1 << number)
            yield ROLLED_BACK, decided
    for which, call in enumerate(world.calls):
        for kind, words, after in _call(world, which, call, bugs):
            yield Step(kind, f"{CALLERS[which]} {words}"), after


def _call(world: World, which: int, call: Call, bugs: frozenset[Bug]) -> Iterator[tuple[Kind, str, World]]:
    if call.phase is Phase.AWAY and call.posts < POSTS:
        yield Kind.PROMISED, "posts; the card goes into the vault.", _posts(world, which, call)
    elif call.phase is Phase.STARTED and (not world.undecided or Bug.CHECK_THEN_INSERT in bugs):
        yield from _writes(world, which, call, bugs)
    elif call.phase is Phase.CHECKED:
        yield Kind.PROMISED, "inserts its order.", _admitted(world, which, call)
    elif call.phase is Phase.CUT:
        if Bug.SELECT_PROBE in bugs:
            if not world.orders >> call.number & 1:
                yield Kind.PROMISED, "is refused: a SELECT finds no order.", _refused(world, which, call)
            else:
                yield Kind.PROMISED, "hears of its order.", _accepted(world, which, call, call.number)
        elif not world.undecided:
            yield from _writes(world, which, call, bugs)
    if call.phase in (Phase.STARTED, Phase.CUT) and world.faults and call.posts < POSTS:
        gone = world._replace(faults=world.faults - 1)
        yield Kind.FAULT, "hears nothing: its server dies.", _with(gone, which, Call(posts=call.posts))


def _posts(world: World, which: int, call: Call) -> World:
    number = world.minted
    begun = Call(Phase.STARTED, call.posts + 1, number, is_repeat=bool(world.orders))
    return _with(world._replace(minted=number + 1, cards=world.cards | 1 << number), which, begun)


def _writes(world: World, which: int, call: Call, bugs: frozenset[Bug]) -> Iterator[tuple[Kind, str, World]]:
    """The one statement: who has the key? if nobody, may it be ordered? then claim and write."""
    if not world.fresh and Bug.OFFER_BEFORE_KEY in bugs:
        yield Kind.PROMISED, "is refused.", _refused(world, which, call)
    elif not world.fresh and Bug.OWN_ORDER_REFUSED in bugs and world.orders >> call.number & 1:
        yield Kind.PROMISED, "is refused though its order is there.", _refused(world, which, call)
    elif world.orders:
        holder = (world.orders & -world.orders).bit_length() - 1
        if world.orders >> call.number & 1:
            holder = call.number
        yield Kind.PROMISED, "gets the number of the order that holds the key.", _accepted(world, which, call, holder)
    elif not world.fresh:
        yield Kind.PROMISED, "is refused; the key is rolled back.", _refused(world, which, call)
    elif Bug.CHECK_THEN_INSERT in bugs:
        yield Kind.PROMISED, "finds the key free.", _with(world, which, call._replace(phase=Phase.CHECKED))
    else:
        yield Kind.PROMISED, "claims the key; its order is committed.", _admitted(world, which, call)
        if world.faults:
            cut = world._replace(undecided=world.undecided | 1 << call.number, faults=world.faults - 1)
            yield Kind.FAULT, "is cut off at COMMIT.", _with(cut, which, call._replace(phase=Phase.CUT))


def _admitted(world: World, which: int, call: Call) -> World:
    return _accepted(world._replace(orders=world.orders | 1 << call.number), which, call, call.number)


def _accepted(world: World, which: int, call: Call, holder: int) -> World:
    after = world if holder == call.number else _forgotten(world, call)
    return _with(after, which, call._replace(phase=Phase.ACCEPTED, told=holder))


def _refused(world: World, which: int, call: Call) -> World:
    after = _forgotten(world, call)._replace(refused=world.refused | 1 << call.number)
    return _with(after, which, call._replace(phase=Phase.REFUSED))


def _forgotten(world: World, call: Call) -> World:
    return world._replace(cards=world.cards & ~(1 << call.number))


def _with(world: World, which: int, call: Call) -> World:
    first, second = world.calls
    return world._replace(calls=(call, second) if which == 0 else (first, call))


def _broken(world: World) -> str:
    if world.orders & (world.orders - 1):
        return "one key, one order"
    if world.orders & world.refused:
        return "a refused call leaves no order behind"
    if world.orders & ~world.cards:
        return "an order that was admitted finds its card in the vault"
    for call in world.calls:
        if call.phase is Phase.ACCEPTED and not world.orders >> call.told & 1:
            return "a 202 names an order that is there"
        if call.phase is Phase.REFUSED and call.is_repeat:
            return "a repeat is answered with its order, even if the offer expired since"
    return ""


def _is_good(world: World) -> bool:
    return not world.undecided and all(call.phase in (Phase.ACCEPTED, Phase.REFUSED) for call in world.calls)
