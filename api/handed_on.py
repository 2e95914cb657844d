"""What the quick way (api/quick.py) had done of a request before it handed it on to Flask.

Flask begins anew and answers all that is not plain; what must not happen twice is told here: a token that was taken, an
id that was given, an error that was met.
"""

from __future__ import annotations

import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final

from api.buckets import Verdict


@dataclass(slots=True)
class SoFar:
    """How far a request came."""

    request_id: str
    began: float = field(default_factory=time.monotonic)
    verdict: Verdict | None = None
    """What the buckets said, if they were asked."""
    error: Exception | None = None
    """What stopped it; whoever answers raises it where it would have come up."""


_so_far: Final[ContextVar[SoFar | None]] = ContextVar("c2a_handed_on", default=None)


def hand_on(so_far: SoFar | None) -> None:
    """Let this thread's or greenlet's request go on from *so_far*; None: whatever comes next begins anew."""
    _so_far.set(so_far)


def so_far() -> SoFar | None:
    """How far the present request came before it was handed on; None: it was not."""
    return _so_far.get()


def raise_what_stopped_it() -> None:
    """Called by the views that have a quick way, before all else."""
    before = so_far()
    if before is not None and before.error is not None:
        raise before.error
