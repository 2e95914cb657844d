"""A tenant that listens for its events, and the moves it is told of; for tests of the upkeep process's teller."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Engine, text

from shared.domain.states import OrderEvent, OrderState
from shared.domain.tenant_events import EventKind
from shared.keyring import Keyring
from shared.store import deliveries, endpoints, moves, tenants
from shared.store.deliveries import Logged
from shared.store.engine import statements
from shared.store.orders import Order
from shared.store.tenants import Tenant, TenantSettings
from tests.support.event_receiver import Heard, Storefront
from tests.support.order_rows import an_order
from tests.support.psp import until
from workers.runtime import Runtime
from workers.telling import Teller

E, S = OrderEvent, OrderState


@dataclass(frozen=True, slots=True)
class Listener:
    """A tenant with one endpoint."""

    owner: Engine
    tenant_id: uuid.UUID
    endpoint_id: str
    secret: str
    at: Storefront

    def order(self, state: OrderState = S.CAPTURED) -> Order:
        """An order of its own, to be moved."""
        return an_order(self.owner, state, tenant_id=self.tenant_id)

    def done(self) -> str:
        """The number of an order of its own that is done."""
        order = self.order()
        with self.owner.begin() as conn:
            end(conn, order)
        return order.tracking_number

    def sql(self, statement: str, **values: Any) -> list[Any]:
        """Run one statement with the tenant's id as :tenant; the rows it answers, if any."""
        with statements(self.owner) as conn:
            result = conn.execute(text(statement), {"tenant": self.tenant_id} | values)
            return list(result) if result.returns_rows else []

    def log(self, state: str | None = None) -> list[Logged]:
        """Its delivery log."""
        with statements(self.owner) as conn:
            return deliveries.logged(conn, self.tenant_id, self.endpoint_id, state=state, limit=10_000)

    def let_pass(self, span: timedelta) -> None:
        """Make *span* of its waiting pass."""
        for table, columns in {
            "event_deliveries": ("due_at", "claimed_until"),
            "event_endpoints": ("held_until", "failing_since"),
        }.items():
            moved = ", ".join(f"{column} = {column} - cast(:span AS interval)" for column in columns)
            self.sql(f"UPDATE {table} SET {moved} WHERE tenant_id = :tenant", span=span)

    def endpoint(self) -> Any:
        """Its endpoint's row."""
        [row] = self.sql("SELECT * FROM event_endpoints WHERE tenant_id = :tenant")
        return row


def a_tenant(owner: Engine) -> uuid.UUID:
    """A new tenant."""
    tenant_id = uuid.uuid4()
    with owner.begin() as conn:
        tenants.save(conn, Tenant(tenant_id, "Listener", TenantSettings()))
    return tenant_id


def listens(owner: Engine, keyring: Keyring, tenant_id: uuid.UUID, at: Storefront, *kinds: EventKind) -> Listener:
    """*tenant_id*, who listens at *at* from now on."""
    with owner.begin() as conn:
        made, secret = endpoints.add(conn, keyring, tenant_id, at.url, kinds or tuple(EventKind))
    at.answers(secrets=[secret])
    return Listener(owner, tenant_id, made.endpoint_id, secret, at)


def end(conn: Connection, order: Order) -> Order:
    """Move a captured order to its end, in the caller's transaction."""
    done = moves.advance(conn, order, E.STORING_SKIPPED, actor="tokenize")
    assert done is not None
    return done


@contextmanager
def teller(run: Runtime) -> Iterator[Teller]:
    """An upkeep process's teller, in the hands of a test."""
    made = Teller(run)
    yield made
    made.close()


def until_heard(one: Teller, listener: Listener, count: int, *, seconds: float = 15.0) -> list[Heard]:
    """What *listener* heard, once that is *count* events and each is recorded."""

    def heard() -> bool:
        one.round(1)
        return len(listener.at.heard) >= count and not any(log.state == "waiting" for log in listener.log())

    until(heard, seconds=seconds)
    return listener.at.heard


def goes_on(one: Teller) -> bool:
    """One round more, for whoever waits for what comes of it."""
    one.round(1)
    return True


def until_tried(one: Teller, listener: Listener, tries: int, *, seconds: float = 15.0) -> None:
    """Wait until *listener* was tried *tries* times in all and nothing is being sent."""

    def tried() -> bool:
        one.round(1)
        time.sleep(0.02)
        [(sent,)] = listener.sql(
            "SELECT count(*) FROM event_deliveries WHERE tenant_id = :tenant AND claimed_until > now()"
        )
        return not sent and len(listener.at.heard) >= tries

    until(tried, seconds=seconds)
