"""What a conversation with the API asks of whoever carries it: a call, or a pause.

Every rule of the client (what is said, when it is said again, what an answer means) is a generator that yields turns
and is sent what came of them. So the rules stand once; Checkout and AsyncCheckout only carry, and a test of a rule
needs no network and no clock.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

T = TypeVar("T")

LEAST_S: Final = 1.0
"""What a call is given though its time is over, and what an answer that is held is given for its way: a healthy API
answers within it."""


class Content:
    """What a call sends. Never shown, not even where a traceback tells local variables: a card may be in it."""

    __slots__ = ("raw",)

    def __init__(self, raw: bytes) -> None:
        self.raw = raw

    def __repr__(self) -> str:
        return f"Content({len(self.raw)} bytes)"


@dataclass(frozen=True, slots=True)
class Call:
    """One call; *path* without host and prefix."""

    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content: Content | None = None
    hold_s: float = 0.0
    """How long the server is asked to hold its answer, in whole seconds; that much longer its reader has patience."""
    within_s: float = math.inf
    """How long its caller still has."""
    repeatable: bool = True
    """Whether saying it twice is as good as once: a reading, or what carries a key."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Do nothing for so long."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Heard:
    """A whole answer; *headers* by lower-case names, *document* empty where there was no JSON object."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    document: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def code(self) -> str:
        """status.messageCode; empty where the answer is not in our envelope."""
        status = self.document.get("status")
        return str(status.get("messageCode", "")) if isinstance(status, dict) else ""

    @property
    def retry_after_s(self) -> float | None:
        """When to come back. A date (RFC 9110 10.2.3) is not read: this API sends seconds."""
        told = self.headers.get("retry-after", "")
        return float(told) if told.isascii() and told.isdigit() else None


@dataclass(frozen=True, slots=True)
class Lost:
    """No answer came. *why*: the error's type alone, as its text may show what was sent."""

    why: str
    was_sent: bool
    """False only where no connection came about, so that nobody can have heard the call."""


Talk = Generator[Call | Pause, Heard | Lost | None, T]
"""A conversation that ends with a T; a pause is answered with None."""


def said(call: Call) -> Talk[Heard | Lost]:
    """What came of *call*."""
    answer = yield call
    assert answer is not None, "a call is answered with what came of it"
    return answer


def rested(seconds: float) -> Talk[None]:
    """Nothing, *seconds* later."""
    yield Pause(seconds)
