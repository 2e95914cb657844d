"""What the quick way (api/quick.py) had done of a request before it handed it on to Flask.

Flask begins anew and answers all that is not plain; what must not happen twice is told here: a token that was taken, an
id that was given, an error that was met.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Final, cast

from flask import request

from api.buckets import Verdict

_PLACE: Final = "c2a.handed_on"


@dataclass(slots=True)
class SoFar:
    """How far a request came."""

    request_id: str
    began: float = field(default_factory=time.monotonic)
    verdict: Verdict | None = None
    """What the buckets said, if they were asked."""
    error: Exception | None = None
    """What stopped it; whoever answers raises it where it would have come up."""


def to_flask(environ: dict[str, object], so_far: SoFar) -> None:
    """Let the request in *environ* go on from *so_far*."""
    environ[_PLACE] = so_far


def so_far() -> SoFar | None:
    """How far the present request of Flask came before; None: it begins here."""
    return cast("SoFar | None", request.environ.get(_PLACE))


def raise_what_stopped_it() -> None:
    """Called by the views that have a quick way, before all else."""
    before = so_far()
    if before is not None and before.error is not None:
        raise before.error
