"""What the running stack's database says, for tests that hold the product's word against its rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString
from uuid import UUID, uuid4

import psycopg
from sqlalchemy import Engine, NullPool, create_engine
from sqlalchemy.engine import make_url

from shared.domain.offers import Offer
from shared.store import keys, offers, tenants
from shared.store.engine import statements
from shared.store.keys import KeyRole
from shared.store.tenants import Tenant, TenantSettings
from tests.support.catalogue import an_offer
from tests.support.front_door import ROOMY


@dataclass(slots=True)
class StackRows:
    """The database of one running stack."""

    dsn: str
    tenant: UUID
    engine: Engine

    @classmethod
    def of(cls, dsn: str, tenant: str) -> StackRows:
        """The rows behind *dsn*; connects on first use."""
        # No pool: other tests kill this database, and a connection kept since then would fail one that does not.
        engine = create_engine(make_url(dsn).set(drivername="postgresql+psycopg"), poolclass=NullPool)
        return cls(dsn, UUID(tenant), engine)

    def ask(self, query: LiteralString, *values: Any) -> list[tuple[Any, ...]]:
        """The rows of a query, on a connection of its own."""
        with psycopg.connect(self.dsn, autocommit=True) as conn:
            return conn.execute(query, values).fetchall()

    def change(self, statement: LiteralString, *values: Any) -> None:
        """Run one statement."""
        with psycopg.connect(self.dsn, autocommit=True) as conn:
            conn.execute(statement, values)

    def state(self, tracking_number: str) -> str:
        """The order's own state."""
        [(state,)] = self.ask("SELECT state FROM orders WHERE tracking_number = %s", tracking_number)
        return str(state)

    def events(self, tracking_number: str) -> list[str]:
        """What happened to the order, in order."""
        told = self.ask("SELECT event FROM order_events WHERE tracking_number = %s ORDER BY version", tracking_number)
        return [event for (event,) in told]

    def actor(self, tracking_number: str, event: str) -> str:
        """Who made *event* happen; fails if it did not happen once."""
        [(actor,)] = self.ask(
            "SELECT actor FROM order_events WHERE tracking_number = %s AND event = %s", tracking_number, event
        )
        return str(actor)

    def import_offer(self, *, life: timedelta = timedelta(minutes=15), **replaced: Any) -> Offer:
        """Keep an offer that another system resolved, under an identifier of its own."""
        named = {"offer_identifier": f"of_{uuid4().hex}", "expires_at": datetime.now(UTC) + life}
        offer = an_offer(**named | replaced)
        with self.engine.begin() as conn:
            offers.keep_imported(conn, self.tenant, [offer])
        return offer

    def new_key(self, role: KeyRole, tenant: UUID | None = None, *, live: bool = False) -> str:
        """A new API key of *tenant*, the demo tenant unless named."""
        with statements(self.engine) as conn:
            return keys.create(conn, tenant or self.tenant, role, live=live)

    def new_tenant(self, settings: TenantSettings = ROOMY) -> UUID:
        """Another tenant, which has nothing."""
        tenant = Tenant(uuid4(), "another shop", settings)
        with self.engine.begin() as conn:
            tenants.save(conn, tenant)
        return tenant.tenant_id
