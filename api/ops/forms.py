"""The forms of an order's page: what each is called, and which action of shared/operate it asks for.

Nothing is judged here: a form that was sent although it may not be is refused there, and the refusal is recorded.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from flask import request

from api.ops import words
from api.ops.guard import operator
from api.ops.words import NoAmount
from api.parts import Parts
from shared.operate import actions, news, proving
from shared.operate.actions import Desk
from shared.operate.asking import Asked
from shared.operate.judging import Action
from shared.operate.news import Meant
from shared.operate.proving import Proof, Verdict
from shared.operate.story import Story
from shared.store.inbox import EventName
from shared.store.operator_actions import Acted

LONGEST_REFERENCE: Final = 255

Do = Callable[[Desk, Story, Asked], Acted]


class Wrong(ValueError):
    """A form was filled in wrongly; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Way:
    """One form: its address below the order's, the words on its button, and what it does."""

    path: str
    name: str
    does: str


WAYS: Final[Mapping[Action, tuple[Way, ...]]] = {
    Action.RETRY: (
        Way("retry", "Retry now", "Somebody looks at it now: its next step, its PSP, or money on its way back."),
    ),
    Action.UNPARK: (
        Way("unpark", "Unpark", "Workers take it again. Mend first what took them down: it parks after five more."),
    ),
    Action.CANCEL: (
        Way(
            "cancel",
            "Cancel, with void",
            "It ends as CANCELLED; what was taken is voided, else refunded, until proven.",
        ),
    ),
    Action.REFUND: (
        Way("refund", "Refund all", "All that is left goes back. The order stays done: end what it bought, too."),
        Way("refund-part", "Refund a part", "So much goes back. The order stays done."),
    ),
    Action.PROVE: (
        Way("prove", "Say what the PSP knows", "It counts as the PSP's own word: say in “why” where you saw it."),
    ),
}
"""For each action that there is, its forms; a test holds that none is missing."""


def desk(parts: Parts) -> Desk:
    """What actions are done with."""
    limit = timedelta(seconds=parts.settings.lease_limit_s)
    return Desk(parts.engine, parts.keyring, parts.doorbell, parts.vault, parts.terms, limit)


def asked() -> Asked:
    """Who asks, and why, as the form says it. Raises NotAsked or Wrong."""
    try:
        action_id = uuid.UUID(request.form.get("action_id", ""))
    except ValueError:
        raise Wrong("the form has no id: load the page again") from None
    return Asked(operator().session.who, request.form.get("why", "").strip(), action_id)


def attempt_meant() -> int | None:
    """Which attempt the form names. Raises Wrong."""
    typed = request.form.get("attempt", "").strip()
    if not typed:
        return None
    if not typed.isascii() or not typed.isdigit() or len(typed) > len("9999"):
        raise Wrong("attempt: its number")
    return int(typed)


def _retry(own: Desk, found: Story, by: Asked) -> Acted:
    return actions.retry(own, found.order.tenant_id, found.order.tracking_number, by)


def _unpark(own: Desk, found: Story, by: Asked) -> Acted:
    return actions.unpark(own, found.order.tenant_id, found.order.tracking_number, by)


def _cancel(own: Desk, found: Story, by: Asked) -> Acted:
    return actions.cancel(own, found.order.tenant_id, found.order.tracking_number, by)


def _refund(own: Desk, found: Story, by: Asked) -> Acted:
    return actions.refund(own, found.order.tenant_id, found.order.tracking_number, by, None)


def _refund_part(own: Desk, found: Story, by: Asked) -> Acted:
    try:
        minor = words.minor_of(request.form.get("amount", ""), found.order.currency or "")
    except NoAmount as error:
        raise Wrong(f"amount: {error}") from None
    return actions.refund(own, found.order.tenant_id, found.order.tracking_number, by, minor)


def _prove(own: Desk, found: Story, by: Asked) -> Acted:
    reference = request.form.get("reference", "").strip()
    if len(reference) > LONGEST_REFERENCE or not reference.isprintable():
        raise Wrong(f"reference: at most {LONGEST_REFERENCE} printable characters")
    try:
        proof = Proof(Verdict(request.form.get("verdict", "")), reference or None)
    except ValueError:
        raise Wrong("what the PSP says: choose one of the list") from None
    return proving.prove(own, found.order.tenant_id, found.order.tracking_number, by, proof)


def _replay(own: Desk, found: Story, by: Asked) -> Acted:
    name = EventName(found.order.tenant_id, request.form.get("provider", ""), request.form.get("event", ""))
    no = attempt_meant()
    return news.replay(own, name, by, None if no is None else Meant(found.order.tracking_number, no))


DOES: Final[Mapping[str, Do]] = {
    "retry": _retry,
    "unpark": _unpark,
    "cancel": _cancel,
    "refund": _refund,
    "refund-part": _refund_part,
    "prove": _prove,
    "replay": _replay,
}
"""What a form that came to this address below an order's asks for."""
