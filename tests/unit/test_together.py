"""Who asks at the same moment asks together, and nobody pays for it but with the answer to the same question."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from shared.together import LeftAlone, Together
from tests.support.psp import until

SOON_S = 10.0


class Counter:
    """A server that answers ten times what it is asked, once it may."""

    def __init__(self, *, at_most: int = 8, beside_after_s: float = SOON_S) -> None:
        self.batches: list[tuple[str, list[int]]] = []
        self.may_answer = threading.Semaphore(0)
        self.fails_with: BaseException | None = None
        self.together = Together(self.answer, at_most=at_most, beside_after_s=beside_after_s)
        self.pool = ThreadPoolExecutor(16)

    def answer(self, key: str, asked: list[int]) -> Sequence[int]:
        """What it says to a batch."""
        self.batches.append((key, asked))
        assert self.may_answer.acquire(timeout=SOON_S)
        if self.fails_with is not None:
            raise self.fails_with
        return [10 * number for number in asked]

    def ask(self, number: int, key: str = "a") -> Future[int]:
        """Ask in a thread of its own; once it asks or waits."""
        before = self.in_hand
        asked = self.pool.submit(self.together.ask, key, number)
        until(lambda: self.in_hand > before)
        return asked

    @property
    def in_hand(self) -> int:
        """How many wait or are asked for, ever."""
        waiting = sum(len(line.waiting) for line in list(self.together._lines.values()))
        return waiting + sum(len(asked) for _, asked in self.batches)

    def let(self, batches: int) -> None:
        """Answer so many more."""
        for _ in range(batches):
            self.may_answer.release()


@contextmanager
def a_counter(at_most: int = 8, beside_after_s: float = SOON_S) -> Iterator[Counter]:
    counter = Counter(at_most=at_most, beside_after_s=beside_after_s)
    with counter.pool:
        yield counter
    assert not counter.together._lines, "a line nobody asks for is not kept"


def told(asked: Sequence[Future[int]]) -> list[int]:
    return [one.result(SOON_S) for one in asked]


def test_who_is_alone_asks_at_once() -> None:
    with a_counter() as counter:
        counter.let(1)
        assert counter.together.ask("a", 1) == 10


def test_who_comes_while_one_asks_is_asked_for_together_and_told_its_own_answer() -> None:
    with a_counter() as counter:
        asked = [counter.ask(number) for number in range(5)]
        counter.let(2)

        assert told(asked) == [0, 10, 20, 30, 40]
        assert counter.batches == [("a", [0]), ("a", [1, 2, 3, 4])]


def test_a_batch_has_an_end_and_the_rest_is_the_next() -> None:
    with a_counter(at_most=3) as counter:
        asked = [counter.ask(number) for number in range(6)]
        counter.let(3)

        assert told(asked) == [0, 10, 20, 30, 40, 50]
        assert [len(batch) for _, batch in counter.batches] == [1, 3, 2]


def test_another_line_is_another_batch_and_waits_for_none() -> None:
    with a_counter() as counter:
        asked = [counter.ask(1, "a"), counter.ask(2, "b")]
        until(lambda: len(counter.batches) == 2)
        counter.let(2)

        assert told(asked) == [10, 20]


@pytest.mark.parametrize("what", [ValueError, OSError])
def test_what_fails_for_all_is_told_to_all_and_the_next_are_asked_for_all_the_same(
    what: Callable[[str], Exception],
) -> None:
    with a_counter() as counter:
        first = counter.ask(0)
        counter.fails_with = error = what("away")
        behind = [counter.ask(1), counter.ask(2)]
        counter.let(1)
        assert first.exception(SOON_S) is error
        until(lambda: len(counter.batches) == 2)
        counter.let(1)
        assert [one.exception(SOON_S) for one in behind] == [error, error]
        counter.fails_with = None
        counter.let(1)

        assert counter.together.ask("a", 3) == 30


def test_who_is_held_up_holds_up_nobody_for_long() -> None:
    with a_counter(beside_after_s=0.05) as counter:
        held_up = counter.ask(0)
        beside = [counter.ask(1), counter.ask(2)]
        until(lambda: sum(len(batch) for _, batch in counter.batches) == 3)
        counter.let(3)

        assert told([held_up, *beside]) == [0, 10, 20]


class Ended(BaseException):
    """What a greenlet is ended with."""


def test_whoever_was_asked_for_by_one_that_was_ended_hears_so() -> None:
    with a_counter() as counter:
        first = counter.ask(0)
        behind = [counter.ask(1), counter.ask(2)]
        counter.let(1)
        first.result(SOON_S)
        until(lambda: len(counter.batches) == 2)
        counter.fails_with = Ended()
        counter.let(1)

        ended = {type(one.exception(SOON_S)) for one in behind}
        assert ended == {Ended, LeftAlone}


def test_of_a_crowd_everyone_is_told_its_own_answer() -> None:
    with a_counter(at_most=5, beside_after_s=0.001) as counter:
        counter.let(1_000)
        asked = [counter.pool.submit(counter.together.ask, "a", number) for number in range(500)]

        assert told(asked) == [10 * number for number in range(500)]
