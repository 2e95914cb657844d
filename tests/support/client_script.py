"""Plays the API to one conversation of the client, answer by answer, on a clock that only pauses and holds move."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from shared.client.retries import Terms
from shared.client.turns import Call, Heard, Lost, Pause, Talk

T = TypeVar("T")
NUMBER = "trk_01J9ZQ5T7E8V4N2K6M3R1W0XYA"
PAGE = "https://psp.example/challenge/1"


@dataclass(slots=True)
class Played:
    """What a conversation asked for so far."""

    answers: list[Heard | Lost]
    takes_s: float = 0.0
    """How long each answer takes."""
    now: float = 1_000.0
    calls: list[Call] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    terms: Terms = field(init=False)

    def __post_init__(self) -> None:
        self.terms = Terms(clock=lambda: self.now, dice=random.Random(1))

    def play(self, talk: Talk[T]) -> T:
        """Carry *talk* to its end; fails if it asks for more than there are answers."""
        answer: Heard | Lost | None = None
        while True:
            try:
                turn = talk.send(answer)
            except StopIteration as end:
                value: T = end.value
                return value
            answer = self._answered(turn)

    def _answered(self, turn: Call | Pause) -> Heard | Lost | None:
        if isinstance(turn, Pause):
            self.pauses.append(turn.seconds)
            self.now += turn.seconds
            return None
        self.calls.append(turn)
        self.now += self.takes_s
        return self.answers.pop(0)


def played(ask: Callable[[Terms], Talk[T]], *answers: Heard | Lost, takes_s: float = 0.0) -> tuple[T, Played]:
    """What *ask* came to, and how."""
    script = Played(list(answers), takes_s=takes_s)
    return script.play(ask(script.terms)), script


def refusal(status: int, code: str, message: str | None = None, **headers: str) -> Heard:
    """An answer in the envelope that says no, or later."""
    document: dict[str, Any] = {"status": {"messageCode": code}} | ({"message": message} if message else {})
    return Heard(status, _named(headers), document)


def standing(code: str, *, status: int = 200, page: str | None = None, **headers: str) -> Heard:
    """An answer that says where the order stands."""
    document: dict[str, Any] = {
        "trackingNumber": NUMBER,
        "status": {"messageCode": code},
        "followUpInstructions": {"canFollowUp": True},
    }
    if page is not None:
        document["redirectInstructions"] = {"redirectUrl": page}
    return Heard(status, _named(headers), document)


def unchanged(**headers: str) -> Heard:
    """304."""
    return Heard(304, _named(headers))


def _named(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
