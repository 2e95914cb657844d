"""What it means when Stripe does not do what it was asked.

Only Stripe's own error document says anything; a bare status may be a proxy's. 401, 403 and the pacing's 429 are said
before anything is started. 400 is a final no to this very request, 402 the issuer's; 409, a key used with other
parameters, a lock that was not free in time (429 as well) and every 5xx say nothing about money.
"""

from __future__ import annotations

from typing import Final

from shared.domain.outcomes import Declined, DeclineReason, NotSent, Unanswered
from shared.psp.documents import parsed
from shared.psp.http import Answer
from shared.psp.stripe_answers import Error, ErrorDocument
from shared.psp.stripe_declines import declined
from shared.psp.stripe_wire import Reply

IN_PROGRESS: Final = Unanswered("in progress")
OTHER_PARAMETERS: Final = Unanswered("key used with other parameters")
MALFORMED: Final = Unanswered("answer is malformed")
MISMATCH: Final = Unanswered("answer does not match")


def error_of(reply: Answer) -> Error | None:
    """Stripe's own word for why not; None if this is no document of its own."""
    document = parsed(ErrorDocument, reply.body)
    return document.error if document else None


def not_done(reply: Reply) -> Declined | NotSent | Unanswered:
    """What an answer that brought nothing means for what was asked for."""
    if not isinstance(reply, Answer):
        return reply
    if reply.status == 200:
        return MALFORMED
    error = error_of(reply)
    if error is None:
        return Unanswered(f"status {reply.status}")
    match reply.status, error.type, error.code:
        case 401 | 403, "invalid_request_error", _:
            return NotSent("account refused")
        case 429, _, "rate_limit":
            return NotSent("paced")
        case 409, _, _:
            return IN_PROGRESS
        case 400, "idempotency_error", _:
            return OTHER_PARAMETERS
        case 400 | 404, _, "resource_missing" if error.param == "payment_method":
            return Declined(DeclineReason.METHOD_GONE)
        case 402, _, _:
            return declined(error.code, error.decline_code)
        case 400, "invalid_request_error", _:
            return Declined(DeclineReason.GENERIC)
        case status, _, _:
            return Unanswered(f"status {status}")


def is_final(reply: Reply) -> bool:
    """Whether Stripe looked at the request and would not do it: what it was about can be looked at now."""
    error = error_of(reply) if isinstance(reply, Answer) and reply.status == 400 else None
    return error is not None and error.type == "invalid_request_error"


def is_absent(reply: Reply) -> bool:
    """Whether Stripe has nothing of the name that was asked for."""
    error = error_of(reply) if isinstance(reply, Answer) and reply.status == 404 else None
    return error is not None and error.code == "resource_missing"
