"""How a command reaches the database: one transaction, and a plain sentence when there is none.

A command touches no broker and no vault: they are none of its business. (`c2a keys revoke` alone tells the vault's
Redis, after its transaction, `c2a doctor` takes its turns at PSPs there, and `c2a psps explain` reads how they did.
What `c2a orders` and `c2a events` change is rung for at the broker after the commit, may let go of a card, and is done
where neither answers. `c2a queues` asks the broker how much waits.)
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import click
from pydantic import ValidationError
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import ArgumentError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from shared import keyrings, vault
from shared.config import Settings
from shared.keyring import Keyring
from shared.psp.record import Records
from shared.psp.traffic import records
from shared.psp.traffic.terms import terms_of
from shared.store import tenants
from shared.store.engine import create_engine


@contextmanager
def transaction() -> Iterator[Connection]:
    """All of a command or nothing of it; exits 1 with a reason if the database cannot be reached."""
    with installation() as (_, engine), engine.begin() as conn:
        yield conn


@contextmanager
def installation() -> Iterator[tuple[Settings, Engine]]:
    """The settings and the database; exits 1 with a reason if they cannot be read or reached."""
    settings, engine = _opened()
    try:
        yield settings, engine
    except (OperationalError, PoolTimeout):
        # The driver's text may hold the address and values of rows; the reason an operator needs is this one.
        raise click.ClickException("PostgreSQL does not answer or gave up: check DATABASE_URL and its log") from None
    finally:
        engine.dispose()


def _opened() -> tuple[Settings, Engine]:
    try:
        settings = Settings()
        return settings, create_engine(settings)
    except ArgumentError:
        raise click.ClickException("DATABASE_URL: write it as postgresql://user:password@host:port/name") from None
    except ValidationError as error:
        names = ", ".join(".".join(map(str, fault["loc"])) for fault in error.errors(include_input=False))
        raise click.ClickException(f"settings that cannot be read: {names}") from None


def keyring_of(settings: Settings) -> Keyring:
    """The keys this installation seals with; exits 1 where none are named: what another process could not open is not
    worth sealing."""
    try:
        ring = keyrings.of(settings)
    except keyrings.NoKeyring as error:
        raise click.ClickException(str(error)) from None
    if settings.keyring is None and settings.keyring_document is None:
        raise click.ClickException("C2A_KEYRING: name the key file that the API and the workers use")
    return ring


def records_of(settings: Settings) -> Records:
    """How a tenant's accounts did of late, as the workers know it; of a vault that is away, nothing."""
    return records.Records(vault.connect(settings.vault_url.get_secret_value()), terms_of(settings)).of


def need_tenant(conn: Connection, tenant_id: uuid.UUID) -> tenants.Tenant:
    """The tenant; exits 1 if there is none."""
    tenant = tenants.get(conn, tenant_id)
    if tenant is None:
        raise click.ClickException(
            "--tenant: there is no such tenant; `c2a tenants list` shows them, `c2a tenants create` makes one"
        )
    return tenant
