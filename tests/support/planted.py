"""Bugs to be planted, one at a time, so that the checks can prove that they would see them.

Each is a mistake that a system like this has been seen to make. They live here and are put over the product's
functions from outside; the product has no switch for them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from secrets import token_hex
from typing import Any, Final
from unittest.mock import patch
from uuid import UUID

from sqlalchemy import Connection, select
from sqlalchemy.exc import DBAPIError

import api.admission
import shared.doorbell
import shared.settle
import shared.settling
import shared.store.engine
import shared.store.inbox
import shared.store.orders
import shared.store.timely
import workers.pay
from api.parts import Parts
from api.schemas.checkout import CheckoutRequest
from shared import messages
from shared.domain.cards import Card
from shared.domain.outcomes import Captured, Declined, DeclineReason, PaymentOutcome, Unanswered
from shared.domain.refusals import RateLimited
from shared.domain.states import OrderEvent, may
from shared.ids import new_tracking_number
from shared.keyring import Keyring
from shared.messages import Lane, Message, Step
from shared.psp.port import ChargeRequest, PspEvent
from shared.store.admission import Candidate, Holder
from shared.store.engine import statements
from shared.store.orders import Order
from shared.store.row_security import Role
from shared.store.tables import idempotency_keys
from shared.store.timely import TimelyConnection
from shared.vault import Vault


@contextmanager
def planted(bug: str) -> Iterator[None]:
    """*bug*, one of BUGS, in this process; nothing at all for an empty name."""
    with ExitStack() as stack:
        if bug:
            BUGS[bug](stack)
        yield


def run(bug: str, job: Callable[..., Any], *args: Any) -> Any:
    """Do *job* with *bug*: for children."""
    with planted(bug):
        return job(*args)


def _no_fencing(stack: ExitStack) -> None:
    """Whoever brings news may write it, whether or not the order is still theirs."""

    stack.enter_context(patch.object(shared.settling.Case, "is_stale", property(lambda _: False)))
    stack.enter_context(patch.object(shared.store.moves, "SEEN", shared.store.orders.OF_TENANT))
    shared.store.moves._moving.cache_clear()
    stack.callback(shared.store.moves._moving.cache_clear)


def _new_key_on_retry(stack: ExitStack) -> None:
    """Every call to the PSP has a key of its own."""
    made = workers.pay._request

    def request(*args: Any) -> ChargeRequest:
        return replace(made(*args), psp_key=token_hex(20))

    stack.enter_context(patch.object(workers.pay, "_request", request))


def _timeout_is_failed(stack: ExitStack) -> None:
    """A PSP that did not answer has said no."""
    asked = workers.pay._ask

    def ask(*args: Any) -> PaymentOutcome:
        outcome = asked(*args)
        return Declined(DeclineReason.GENERIC) if isinstance(outcome, Unanswered) else outcome

    stack.enter_context(patch.object(workers.pay, "_ask", ask))


def _late_success_dropped(stack: ExitStack) -> None:
    """A capture of an order that has ended is nobody's business."""
    settled = shared.settle._captured

    def captured(case: Any, outcome: Captured) -> Order:
        if not may(case.order.state, OrderEvent.PAYMENT_CAPTURED):
            return case.order  # type: ignore[no-any-return]
        return settled(case, outcome)

    stack.enter_context(patch.object(shared.settle, "_captured", captured))


def _no_reconciliation(stack: ExitStack) -> None:
    """What only the PSP's books know, nobody does."""
    stack.enter_context(patch("workers.reconcile.settle_found", lambda *_: None))


def _no_rescuer(stack: ExitStack) -> None:
    """A lost message is a lost order."""
    stack.enter_context(patch("workers.rescuer.rescue", lambda _: 0))


def _select_probe(stack: ExitStack) -> None:
    """After a cut commit the database is asked whether the order is there; if it is not, the order is made anew."""

    def write(parts: Parts, candidate: Candidate, ask: CheckoutRequest, too_many: RateLimited | None) -> Holder:
        try:
            return api.admission._write_once(parts, candidate, ask, too_many)
        except DBAPIError:
            with statements(parts.engine) as conn:
                seen = conn.execute(select(idempotency_keys).where(idempotency_keys.c.key == candidate.key)).first()
        if seen is not None:
            return Holder(seen.tracking_number, seen.digest)
        number = new_tracking_number()
        return api.admission._write_once(parts, replace(candidate, tracking_number=number, key=number), ask, too_many)

    stack.enter_context(patch.object(api.admission, "_write", write))


def _pan_in_arguments(stack: ExitStack) -> None:
    """The worker is spared a look into the vault: the card comes with its message."""
    put = Vault.put
    numbers: dict[str, str] = {}

    def putting(self: Vault, tenant_id: UUID, tracking_number: str, card: Card, **more: Any) -> list[int]:
        numbers[tracking_number] = card.number
        return put(self, tenant_id, tracking_number, card, **more)

    def message(step: Step, tracking_number: str, *lane: Lane) -> Message:
        one = messages.message(step, tracking_number, *lane)
        args, kwargs, embed = json.loads(one.body)
        return replace(one, body=json.dumps([[*args, numbers.get(tracking_number)], kwargs, embed]))

    stack.enter_context(patch.object(Vault, "put", putting))
    stack.enter_context(patch.object(shared.doorbell, "message", message))


def _commits_before_they_are_durable(stack: ExitStack) -> None:
    """synchronous_commit off: PostgreSQL says "committed" of what its memory holds."""
    made = shared.store.timely.timely

    def timely(answer_within_s: float) -> type[TimelyConnection]:
        class Hasty(made(answer_within_s)):  # type: ignore[misc]
            @classmethod
            def connect(cls, *args: Any, **kwargs: Any) -> Any:
                options = f"{kwargs.pop('options', '')} -c synchronous_commit=off"
                return super().connect(*args, options=options, **kwargs)

        return Hasty

    stack.enter_context(patch.object(shared.store.engine, "timely", timely))


def _webhooks_not_deduplicated(stack: ExitStack) -> None:
    """Each delivery of an event is an event."""
    kept = shared.store.inbox.keep

    def keep(conn: Connection, keyring: Keyring, tenant_id: UUID, provider: str, event: PspEvent) -> bool:
        return kept(conn, keyring, tenant_id, provider, replace(event, event_id=f"{event.event_id}.{token_hex(4)}"))

    stack.enter_context(patch.object(shared.store.inbox, "keep", keep))


def _no_row_level_security(stack: ExitStack) -> None:
    """The API connects as whoever owns the tables, and nobody but its statements tells tenants apart."""
    made = shared.store.timely.timely

    def timely(answer_within_s: float) -> type[TimelyConnection]:
        class Owner(made(answer_within_s)):  # type: ignore[misc]
            @classmethod
            def connect(cls, *args: Any, **kwargs: Any) -> Any:
                options = kwargs.pop("options", "").replace(f" -c role={Role.API}", "")
                return super().connect(*args, options=options, **kwargs)

        return Owner

    stack.enter_context(patch.object(shared.store.engine, "timely", timely))


BUGS: Final[Mapping[str, Callable[[ExitStack], None]]] = {
    "no fencing": _no_fencing,
    "a new PSP key on retry": _new_key_on_retry,
    "timeout taken as failed": _timeout_is_failed,
    "late success dropped": _late_success_dropped,
    "no reconciliation": _no_reconciliation,
    "no rescuer": _no_rescuer,
    "a SELECT probe after a cut COMMIT": _select_probe,
    "a PAN in task arguments": _pan_in_arguments,
    "no row-level security": _no_row_level_security,
    "synchronous_commit off": _commits_before_they_are_durable,
    "webhooks not deduplicated": _webhooks_not_deduplicated,
}
"""Each mistake by its name."""
