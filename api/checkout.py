"""The routes of an order: submit it, ask where it stands (contract sections 2 and 3)."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import Final
from uuid import UUID

from flask import Blueprint, Response, g, request

from api import hold, limits
from api.admission import admit
from api.auth import caller, reads_status
from api.envelope import answer, media_type
from api.follow_up import caching, follow_up_url, is_known, result_of
from api.handed_on import raise_what_stopped_it
from api.held import STREAM_S, Held, event, seat_of
from api.parts import Parts
from api.prefer import EVENTS, wait_s, wants_events
from api.schemas.checkout import CheckoutRequest
from api.strict_json import body
from shared.domain.refusals import OrderNotFound
from shared.failpoints import Failpoint, reach
from shared.observe.traces import tracing
from shared.store.keys import Caller
from shared.store.status import Status

SUBMIT: Final = frozenset({"/api/v1/c2a/offer/checkout", "/api/c2a/offer/checkout"})
"""Where orders are submitted (contract section 1)."""


def blueprint(parts: Parts) -> Blueprint:
    """The routes over *parts*."""
    routes = Blueprint("checkout", __name__)

    @routes.post("/c2a/offer/checkout")
    def submit() -> Response:
        raise_what_stopped_it()
        began_ns = time.time_ns()
        ask = body(CheckoutRequest)
        key = request.headers.get("Idempotency-Key")
        now, headers = accept(parts, caller().tenant_id, ask, header_key=key, began_ns=began_ns)
        result = result_of(parts, now, polls=0)
        if result.follow_up_instructions.retry_after_seconds is not None:
            headers["Retry-After"] = str(result.follow_up_instructions.retry_after_seconds)
        return answer(result, status=HTTPStatus.ACCEPTED, headers=headers)

    @routes.get("/c2a/offer/checkout/<tracking_number>/status")
    @reads_status
    def tell_status(tracking_number: str) -> Response:
        raise_what_stopped_it()
        is_stream, seconds = wants_events(), wait_s(request.headers.get("Prefer"))
        if not (is_stream or seconds):
            return _told(parts, read_status(parts, caller().tenant_id, tracking_number))
        return _held(parts, tracking_number, _stream_s(caller()) if is_stream else seconds, is_stream=is_stream)

    return routes


def accept(
    parts: Parts, tenant_id: UUID, ask: CheckoutRequest, *, header_key: str | None, began_ns: int
) -> tuple[Status, dict[str, str]]:
    """Admit an order; where it stands, and the headers that say where to ask. Raises what admission does.

    *began_ns*: when its request was begun to be served, for its trace.
    """
    accepted = admit(parts, tenant_id, ask, header_key=header_key)
    number = accepted.tracking_number
    url = follow_up_url(parts, number)
    headers = {"Location": url, "Link": f'<{url}>; rel="status"'}
    if accepted.replayed:
        now = read_status(parts, tenant_id, number)
        headers["Idempotent-Replayed"] = "true"
    else:
        now = Status.fresh(number, tenant_id)
        tracing().admitted(number, str(tenant_id), began_ns=began_ns)
    reach(Failpoint.ADMISSION_BEFORE_ANSWER)
    return now, headers


def read_status(parts: Parts, tenant_id: UUID, tracking_number: str) -> Status:
    """Where an order of the tenant stands; raises OrderNotFound."""
    found = parts.statuses.ask(tenant_id, tracking_number)
    if found is None:
        raise OrderNotFound("no order of yours has this tracking number")
    return found


def _held(parts: Parts, tracking_number: str, wait: float, *, is_stream: bool) -> Response:
    """The answer that may wait; the server in front of us knows how."""
    seat = seat_of(request.environ)
    named = {"media_type": EVENTS if is_stream else media_type(), "request_id": g.request_id}
    unread, polls = Status.fresh(tracking_number), limits.polls() or 0
    held = Held(parts, caller(), tracking_number, wait, is_stream, unread, **named, polls=polls)
    with hold.entered(held, seat):
        held.known = read_status(parts, held.tenant_id, tracking_number)
        response = _streamed(parts, held.known) if is_stream else _told(parts, held.known)
        known = request.headers.get("If-None-Match")
        response.headers.update(hold.keep(held, seat, status=response.status_code, if_none_match=known))
        return response


def _stream_s(caller: Caller) -> float:
    """How long a stream of *caller* may live: no longer than its key, give or take Settings.key_cache_s."""
    return STREAM_S if caller.good_for_s is None else min(STREAM_S, caller.good_for_s)


def _told(parts: Parts, now: Status) -> Response:
    """The answer to a poll: cacheable once it is final, 304 while nothing moved since the caller's ETag."""
    result = result_of(parts, now, polls=limits.polls() or 0)
    response = answer(result, headers=caching(result, now))
    if is_known(now, request.headers.get("If-None-Match")):
        response.status_code = HTTPStatus.NOT_MODIFIED
    return response


def _streamed(parts: Parts, now: Status) -> Response:
    """The head of a stream and its first event; nothing to the reader who comes back after the last one."""
    if now.is_final and request.headers.get("Last-Event-ID") == now.face:
        return Response(status=HTTPStatus.NO_CONTENT)  # It tells a reader not to come back (WHATWG HTML, 9.2.3).
    first = event(parts, now, polls=limits.polls() or 0)
    response = Response([first], content_type=EVENTS, headers={"X-Accel-Buffering": "no"})
    response.automatically_set_content_length = request.method != "HEAD"  # The stream that a GET begins has none.
    return response
