"""Whether the answer to a poll may wait, and the handing over of one that does (contract section 3).

An answer that is news is not held: the order is at its end, or the caller's ETag is another one. Nor is one where all
room is taken, or as much as one tenant may take (places.py), or the server in front of us cannot hold: the caller is
then answered as any poller is, and not told that their preference was applied.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from api.held import Held, Seat


@contextmanager
def entered(held: Held, seat: Seat | None) -> Iterator[None]:
    """Hear of the order's moves from here on; no more once the block ends, unless its answer is kept."""
    if seat is None:  # Nobody could wait.
        yield
        return
    waiting = held.parts.waiting
    waiting.enter(held)
    try:
        yield
    finally:
        if seat.held is not held:
            waiting.leave(held)


def keep(held: Held, seat: Seat | None, *, status: int, if_none_match: str | None) -> dict[str, str]:
    """Let the answer wait if there is a reason to and room; the headers that say what was done.

    *status*: the answer's as it is now.
    """
    if seat is None or not held.parts.waiting.has_room_for(held):
        return {}
    tells_nothing_new = status == HTTPStatus.NOT_MODIFIED or not if_none_match
    if not held.known.is_final and (held.is_stream or tells_nothing_new):
        seat.held = held
    return {} if held.is_stream else {"Preference-Applied": f"wait={held.wait_s:g}"}
