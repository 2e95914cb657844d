"""Explores every state a model can reach, and says by which shortest way.

Breadth first, so the first broken state found is one that no shorter story reaches. Each state is kept once with the
state it was first reached from; the words of a story are made only when one has to be told. A liveness question is
answered backwards over the finished graph: from which states can no good one be reached by steps that are promised to
happen?
"""

from __future__ import annotations

import gc
import itertools
import time
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Generic, NamedTuple, TypeVar

GOOD_END: Final = "from every state a good end stays within reach once faults stop"

W = TypeVar("W", bound=Hashable)


class Kind(IntEnum):
    """What may be said of a step: only a PROMISED one keeps its promise when faults stop."""

    PROMISED = 0  # Our own work, the passing of time, a PSP that answers.
    OPEN = 1  # May happen or not: a webhook that arrives, a shopper who acts.
    FAULT = 2  # A crash, a stop, a lost message. Bounded.


class Step(NamedTuple):
    """One thing that happens; *words* is a template that *about* fills when a story is told."""

    kind: Kind
    words: str
    about: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.words.format(*self.about)


@dataclass(frozen=True)
class Model(Generic[W]):
    """A start, what may happen next, what must hold in every state, and where a story may end well."""

    start: W
    steps: Callable[[W], Iterator[tuple[Step, W]]]
    broken: Callable[[W], str]
    """Which promise a state breaks; empty if none."""
    is_good: Callable[[W], bool]
    tell: Callable[[W], str]


@dataclass(frozen=True)
class Counterexample:
    """A promise that was broken, and the shortest story that leads there."""

    promise: str
    story: tuple[str, ...]

    def __str__(self) -> str:
        lines = "\n".join(f"  {number:2}. {line}" for number, line in enumerate(self.story, 1))
        return f"{self.promise}\n{lines}"


@dataclass(frozen=True)
class Report:
    """What an exploration found."""

    states: int
    transitions: int
    depth: int
    seconds: float
    found: Counterexample | None

    def __str__(self) -> str:
        verdict = "no promise broken" if self.found is None else f"broken: {self.found}"
        return (
            f"{self.states:,} states, {self.transitions:,} transitions, depth {self.depth}, "
            f"{self.seconds:.1f} s: {verdict}"
        )


def explore(model: Model[W], *, most: int = 1_000_000) -> Report:
    """Every reachable state of *model*, or the shortest story to a broken promise. Raises if it is over *most*."""
    was_collecting = gc.isenabled()
    gc.disable()  # Nothing is garbage before the end, and walking all states again and again costs half the time.
    try:
        return _Exploration(model, most).run()
    finally:
        if was_collecting:
            gc.enable()


class _Exploration(Generic[W]):
    def __init__(self, model: Model[W], most: int) -> None:
        self._model = model
        self._most = most
        self._numbers: dict[W, int] = {model.start: 0}
        self._worlds: list[W] = [model.start]
        self._parents: list[int] = [-1]
        self._depths: list[int] = [0]
        self._promised_into: list[list[int]] = [[]]
        self._transitions = 0
        self._started = time.perf_counter()

    def run(self) -> Report:
        index = 0
        while index < len(self._worlds):
            promise = self._model.broken(self._worlds[index])
            if promise:
                return self._report(Counterexample(promise, self._story(index)))
            self._expand(index)
            index += 1
        return self._report(self._stuck())

    def _expand(self, index: int) -> None:
        numbers, worlds = self._numbers, self._worlds
        for step, after in self._model.steps(worlds[index]):
            self._transitions += 1
            number = numbers.get(after)
            if number is None:
                number = len(worlds)
                if number >= self._most:
                    raise RuntimeError(f"more than {self._most:,} states")
                numbers[after] = number
                worlds.append(after)
                self._parents.append(index)
                self._depths.append(self._depths[index] + 1)
                self._promised_into.append([])
            if step.kind is Kind.PROMISED:
                self._promised_into[number].append(index)

    def _stuck(self) -> Counterexample | None:
        """The nearest state from which no promised steps lead to a good end."""
        saved = bytearray(len(self._worlds))
        waiting = [number for number, world in enumerate(self._worlds) if self._model.is_good(world)]
        for number in waiting:
            saved[number] = 1
        while waiting:
            for before in self._promised_into[waiting.pop()]:
                if not saved[before]:
                    saved[before] = 1
                    waiting.append(before)
        stuck = saved.find(0)
        if stuck < 0:
            return None
        story = (*self._story(stuck), f"... and nothing leads to a good end: {self._model.tell(self._worlds[stuck])}")
        return Counterexample(GOOD_END, story)

    def _story(self, index: int) -> tuple[str, ...]:
        way = [index]
        while self._parents[way[-1]] >= 0:
            way.append(self._parents[way[-1]])
        way.reverse()
        return tuple(self._between(before, after) for before, after in itertools.pairwise(way))

    def _between(self, before: int, after: int) -> str:
        target = self._worlds[after]
        return next(str(step) for step, world in self._model.steps(self._worlds[before]) if world == target)

    def _report(self, found: Counterexample | None) -> Report:
        seconds = time.perf_counter() - self._started
        return Report(len(self._worlds), self._transitions, self._depths[-1], seconds, found)
