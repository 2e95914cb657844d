"""Whether the answer to a poll may wait, and the handing over of one that does (contract section 3).

An answer that says news at once is not held: the order is at its end, the caller's ETag is another one, or it moved
while we read it. Nor is one where all room is taken: the caller is then answered as any poller is, and not told that
their preference was applied.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from uuid import UUID

from flask import Response, g, request

from api.envelope import media_type
from api.held import STREAM_S, Held, seat
from api.parts import Parts
from api.prefer import EVENTS, wait_s, wants_events
from shared.store.status import Status


def asked_for(parts: Parts, tenant_id: UUID, tracking_number: str) -> Held | None:
    """How long the answer to this request may wait; None: it is to come at once."""
    is_stream, seconds = wants_events(), wait_s()
    if request.method != "GET" or not (is_stream or seconds):
        return None
    unknown = Status.fresh(tracking_number)  # Until it is read.
    return Held(
        parts, tenant_id, tracking_number, STREAM_S if is_stream else seconds, is_stream=is_stream, known=unknown
    )


@contextmanager
def entered(held: Held) -> Iterator[None]:
    """Hear of the order's moves from here on; no more once the block ends, unless its answer is kept."""
    waiting = held.parts.waiting
    waiting.enter(held)
    try:
        yield
    finally:
        place = seat()
        if place is None or place.held is not held:
            waiting.leave(held)


def keep(held: Held, answer: Response) -> Response:
    """Let *answer* wait if there is a reason to and room; what it says is what is told if nothing happens."""
    place = seat()
    if place is None or not held.parts.waiting.has_room:
        return answer
    if not held.is_stream:
        answer.headers["Preference-Applied"] = f"wait={held.wait_s:g}"
    if held.known.is_final or not (held.is_stream or _says_nothing_new(answer)):
        return answer
    held.media_type = EVENTS if held.is_stream else media_type()
    held.request_id = g.request_id
    place.held = held
    return answer


def _says_nothing_new(answer: Response) -> bool:
    """Whether the caller knows what *answer* says, or did not say what they know."""
    return answer.status_code == HTTPStatus.NOT_MODIFIED or not request.headers.get("If-None-Match")
