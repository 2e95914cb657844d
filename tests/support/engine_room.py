"""The engine room's steps in the hands of a test: real database, real vault, a real PSP, and no worker beside it.

A test takes each step by calling it, so it decides who comes first, who dies and who comes twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from secrets import token_hex
from typing import Any, Protocol

from redis import Redis
from sqlalchemy import Engine, text

from shared.config import Settings
from shared.domain.cards import Card
from shared.domain.outcomes import Captured, KeptMethod, LookUpOutcome, PaymentOutcome
from shared.domain.states import OrderState
from shared.keyring import Keyring
from shared.psp.factory import psp_for
from shared.psp.port import Account, AccountTerms, Channel, ChargeRequest, Psp
from shared.psp.traffic.lane import PspLane
from shared.settle import News, settle
from shared.store import accounts, attempts, methods, orders
from shared.store.attempts import Attempt
from shared.store.engine import create_engine, statements
from shared.store.orders import Order
from shared.store.row_security import Role
from tests.support import lanes
from tests.support.front_door import parts_for
from tests.support.psp import until
from tests.support.selling import NOWHERE, Seller, a_seller
from tests.support.wire import GOOD_CARD, Document
from workers.heartbeat import Heartbeat
from workers.lock_offer import lock_offer
from workers.pay import pay
from workers.runtime import Runtime, assembled


class Killed(BaseException):
    """What a worker's death looks like to the code it ran: nothing after it happens."""


@dataclass(frozen=True)
class EngineRoom:
    """One tenant's orders and the hands that move them."""

    run: Runtime
    seller: Seller
    account: Account
    owner: Engine
    """Who may change the tables themselves."""

    @property
    def psp(self) -> Psp:
        """The PSP as the engine room talks to it."""
        return psp_for(self.account)

    def admitted(self, payment: Document | None = None, *items: Document, **more: Any) -> str:
        """An order nobody has worked on."""
        return self.seller.accepted(payment, *items, **more)

    def locked(self, payment: Document | None = None, *items: Document, **more: Any) -> str:
        """An order that holds its offer."""
        number = self.admitted(payment, *items, **more)
        assert lock_offer(self.run, number)
        return number

    def order(self, number: str) -> Order:
        """The order as it is now."""
        with statements(self.run.engine) as conn:
            found = orders.get(conn, number)
        assert found is not None
        return found

    def state(self, number: str) -> OrderState:
        """Where the order stands."""
        return self.order(number).state

    def attempts(self, number: str) -> list[Attempt]:
        """What was asked of PSPs for it."""
        with statements(self.run.engine) as conn:
            return attempts.of_order(conn, self.seller.shop.tenant_id, number)

    def attempt(self, number: str) -> Attempt:
        """Its only attempt."""
        [only] = self.attempts(number)
        return only

    def tell(
        self,
        attempt: Attempt,
        outcome: PaymentOutcome | LookUpOutcome,
        *,
        fence: int | None = None,
        actor: str = "test",
    ) -> Order:
        """Settle news about *attempt*, as whoever brings it."""
        with self.run.engine.begin() as conn:
            return settle(conn, News(attempt, outcome, actor=actor, fence=fence), self.run.terms)

    def events(self, number: str) -> list[str]:
        """What happened to the order, in order."""
        rows = self.sql(
            "SELECT event FROM order_events WHERE tracking_number = :number ORDER BY version", number=number
        )
        return [str(event) for (event,) in rows]

    def sql(self, statement: str, **values: Any) -> list[Any]:
        """Run one statement; the rows it answers, if it answers any."""
        with statements(self.owner) as conn:
            result = conn.execute(text(statement), values)
            return list(result) if result.returns_rows else []

    @property
    def lane(self) -> PspLane:
        """Its account's way to the PSP."""
        return lanes.of(self.account)

    def limited(self, calls_per_s: float) -> EngineRoom:
        """The same room, its account agreed to take no more than *calls_per_s*."""
        account = replace(self.account, terms=AccountTerms(calls_per_s=calls_per_s))
        with self.owner.begin() as conn:
            accounts.save(conn, self.run.keyring, account)
        return replace(self, account=account)

    def a_stored_card(self) -> str:
        """The URN of a card that the PSP keeps for the shopper."""
        card = Card(number=GOOD_CARD, holder_name="Jane Doe", expire_year="2029", expire_month="12", cvc="123")
        kept = self.psp.keep_card(card, customer_urn="cu.00.482", psp_key=token_hex(8))
        assert isinstance(kept, KeptMethod)
        who = (self.seller.shop.tenant_id, "cu.00.482", Channel.CREDIT_CARD, self.account.provider)
        with self.run.engine.begin() as conn:
            return methods.store(conn, self.run.keyring, *who, kept, alias=None, tracking_number=None)

    def due_in(self, number: str) -> float:
        """In how many seconds somebody is to look at the order."""
        [(left,)] = self.sql(
            "SELECT extract(epoch FROM due_at - clock_timestamp()) FROM orders WHERE tracking_number = :n", n=number
        )
        return float(left)

    @contextmanager
    def unreachable(self) -> Iterator[None]:
        """Nobody listens at the PSP's address within: what is sent there provably does not arrive."""
        where = "UPDATE psp_accounts SET base_url = :url WHERE tenant_id = :tenant"
        self.sql(where, url=NOWHERE.base_url, tenant=self.seller.shop.tenant_id)
        yield
        self.sql(where, url=self.account.base_url, tenant=self.seller.shop.tenant_id)

    def comes_up(self, number: str) -> None:
        """The order's place in the row of its PSP comes up, and it is rung for."""
        self.sql("UPDATE orders SET due_at = now(), rings = 1 WHERE tracking_number = :number", number=number)

    def forget_traffic(self) -> None:
        """Let the calls to the PSP so far be nobody's memory: neither its breaker nor its pauses outlive a test."""
        lanes.forget(self.run.vault.redis, self.account)

    def asked_earlier(self, number: str, by: timedelta) -> None:
        """Let the order's PSPs have been asked *by* earlier."""
        self.sql(
            "UPDATE payment_attempts SET asked_at = asked_at - cast(:by AS interval),"
            " started_at = started_at - cast(:by AS interval) WHERE tracking_number = :number",
            by=by,
            number=number,
        )

    def until_lease_ended(self, number: str) -> None:
        """Wait until the database's clock is past the order's lease, and past what is on its way to its row.

        A worker that died may have asked for more time in a commit that a slow disk still holds up.
        """
        over = "SELECT 1 FROM orders WHERE tracking_number = :number AND lease_until > now() IS NOT TRUE FOR UPDATE"
        until(lambda: self.sql(over, number=number))

    def lease_ends_in(self, number: str, life: timedelta) -> None:
        """Let the lease that somebody has on the order end after *life* from now."""
        self.sql(
            "UPDATE orders SET lease_until = now() + cast(:life AS interval) WHERE tracking_number = :number",
            life=life,
            number=number,
        )

    def pause_after(self, step: Callable[[Runtime, str], object], number: str) -> tuple[float, float]:
        """Take *step*; the seconds the order is put off by, at least and at most: when within it nobody knows."""
        began = time.monotonic()
        assert not step(self.run, number)
        due_in = self.due_in(number)
        return due_in, due_in + time.monotonic() - began

    def dies_while_charging(self, number: str, *, after_the_charge: bool) -> None:
        """Run the pay step in a worker that dies before or after the PSP took its request; its lease stays behind."""

        def charge(request: ChargeRequest) -> PaymentOutcome:
            if after_the_charge:
                self.psp.charge(request)
            raise Killed

        try:
            with mortal(self.run) as worker:
                pay(replace(worker, psp_for=lambda _: _Charging(self.psp, charge)), number)
        except Killed:
            return
        raise AssertionError("the pay step asked no PSP")


@contextmanager
def mortal(run: Runtime) -> Iterator[Runtime]:
    """*run* as another worker has it, which is gone at the end and its last heartbeat with it: on its way as the worker
    died, it would still ask for more time, and give back to a lease what a test took from it."""
    heartbeat = Heartbeat(run.engine, run.lease)
    try:
        yield replace(run, heartbeat=heartbeat)
    finally:
        heartbeat.close()


@dataclass(frozen=True, slots=True)
class _Charging:
    """A PSP whose charge is the test's."""

    psp: Psp
    charge: Callable[[ChargeRequest], PaymentOutcome]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.psp, name)


class OpensAccounts(Protocol):
    """A PSP of the tests: the sandbox, or a fake of another one."""

    def account(self) -> Account:
        """A new account there."""
        ...


@contextmanager
def opened(
    settings: Settings, vault_url: str, psp: OpensAccounts, *, keyring: Keyring | None = None, **replaced: Any
) -> Iterator[EngineRoom]:
    """An engine room with a tenant of its own at *psp*, and keys of its own; *replaced*: settings by name."""
    own = settings.model_copy(update=replaced)
    engine, owner = create_engine(own, role=Role.ENGINE_ROOM), create_engine(own)
    with Redis.from_url(vault_url) as redis:
        parts = parts_for(own, engine, redis, keyring)
        account = psp.account()
        seller = a_seller(parts, account)
        run = assembled(own, engine, parts.keyring, parts.vault, parts.doorbell)
        yield EngineRoom(run, seller, replace(account, tenant_id=str(seller.shop.tenant_id)), owner)
        parts.doorbell.close()
        run.heartbeat.close()  # A connection it had in hand would be nobody's after the pool is gone.
    engine.dispose()
    owner.dispose()


def captured(attempt: Attempt, reference: str) -> Captured:
    """The news that *attempt* was captured in full."""
    return Captured(reference, attempt.money)
