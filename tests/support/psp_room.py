"""One tenant between its PSP and us: the PSP's webhooks are in the test's hands, and so is when an attempt is known."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import Any

from flask.testing import FlaskClient
from redis import Redis
from sqlalchemy import Engine

from api.parts import Parts
from shared import keyring
from shared.config import Settings
from shared.domain.cards import Card
from shared.domain.outcomes import PaymentOutcome
from shared.domain.states import OrderState
from shared.psp.factory import psp_for
from shared.psp.port import Account, Psp
from shared.store import accounts, attempts
from shared.store.attempts import Attempt, AttemptState
from shared.store.engine import statements
from shared.store.orders import Order
from tests.support.asked_beside import request_of
from tests.support.attempt_rows import write_ahead
from tests.support.front_door import a_shop, opened
from tests.support.order_rows import an_order
from tests.support.psp import Hook, Receiver, Sandbox
from workers.runtime import Runtime, build


@dataclass(frozen=True)
class PspRoom:
    """One tenant with one account at the sandbox; its webhooks go to *hooks*, not to the front door."""

    run: Runtime
    engine: Engine
    client: FlaskClient
    account: Account
    sandbox: Sandbox
    hooks: Receiver

    @property
    def psp(self) -> Psp:
        """The tenant's PSP, as the product reaches it."""
        return psp_for(self.account)

    def order(self, state: OrderState, **values: Any) -> Order:
        """An order of this tenant."""
        return an_order(self.engine, state, tenant_id=self.account.tenant_id, **values)

    def attempt(self, order: Order, *, no: int = 1, **replaced: Any) -> Attempt:
        """An attempt to pay *order*, not written down yet."""
        made = Attempt(
            tenant_id=order.tenant_id,
            tracking_number=order.tracking_number,
            attempt_no=no,
            provider=self.account.provider,
            psp_key=token_hex(20),
            merchant_reference=order.merchant_reference,
            amount_minor=1499,
            currency="EUR",
            outcome=AttemptState.OPEN,
            psp_reference=None,
            kept_token=None,
            looks=0,
            started_at=order.seen_at,
            asked_at=order.seen_at,
        )
        return replace(made, **replaced)

    def write_ahead(self, attempt: Attempt) -> None:
        """Write *attempt* down, as the payment step does before its call."""
        with self.engine.begin() as conn:
            write_ahead(conn, attempt)

    def charge(self, attempt: Attempt, number: str = "4111111111111111") -> PaymentOutcome:
        """Make the charge of *attempt* at the sandbox."""
        card = Card(number=number, holder_name="Jane Doe", expire_year="2029", expire_month="12", cvc="123")
        return self.psp.charge(request_of(attempt, card))

    def deliver(self, hook: Hook) -> None:
        """Bring a webhook to the front door, as it was sent."""
        path = f"/api/v1/c2a/psp/{self.account.provider}/{self.account.account_id}/webhook"
        answer = self.client.post(path, data=hook.body, headers=hook.headers)
        assert answer.status_code == 200, answer.text

    def now(self, attempt: Attempt) -> Attempt:
        """The attempt as it is now."""
        with statements(self.engine) as conn:
            every = attempts.of_order(conn, attempt.tenant_id, attempt.tracking_number)
        return next(one for one in every if one.attempt_no == attempt.attempt_no)

    def charges(self) -> list[dict[str, Any]]:
        """What the sandbox's ledger holds for this account."""
        return self.sandbox.charges(self.account)


@contextmanager
def psp_room(settings: Settings, engine: Engine, sandbox: Sandbox, hooks: Receiver, folder: Path) -> Iterator[PspRoom]:
    """A tenant's room, its parts let go of at the end; its keyring lies in *folder*."""
    ring = keyring.fresh()
    keyring.save(ring, folder / "keyring.json")
    run = build(settings.model_copy(update={"keyring": folder / "keyring.json"}))
    account = replace(sandbox.account(hooks.url), tenant_id=str(a_shop(engine).tenant_id))
    with engine.begin() as conn:
        accounts.save(conn, ring, account)
    redis = Redis.from_url(settings.vault_url.get_secret_value())
    parts = Parts(settings, engine, redis, ring, lambda: datetime.now(UTC))
    try:
        with opened(parts) as client:
            yield PspRoom(run, engine, client, account, sandbox, hooks)
    finally:
        run.heartbeat.close()
        run.doorbell.close(within_s=5)
        run.engine.dispose()
        redis.close()
