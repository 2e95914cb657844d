"""Which accounts a tenant has at which PSPs; their credentials are sealed and open only for that tenant and PSP."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from pydantic import TypeAdapter
from sqlalchemy import Connection, func, select, text, true, update
from sqlalchemy.dialects.postgresql import aggregate_order_by, insert

from shared.keyring import Keyring
from shared.psp.port import Account, AccountTerms, Channel
from shared.store.tables import orders, psp_accounts

RANK: Final = 100
"""Where an account stands that nobody ranked; lower is asked first."""
_TERMS: Final = TypeAdapter(AccountTerms)
_LIKE_AN_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What an account_id is made of (shared/cli/psp_account.py); whoever writes a webhook address may write anything."""
_BY_ACCOUNT_ID: Final = text(
    f"SELECT {', '.join(psp_accounts.c.keys())} FROM c2a_account(:account_id)"  # noqa: S608 - our own names
).columns(*psp_accounts.c)


def save(conn: Connection, keyring: Keyring, account: Account, *, rank: int = RANK, enabled: bool = True) -> None:
    """Keep *account*, replacing what the tenant had at this provider; its webhook address changes with account_id."""
    credentials = json.dumps(dict(account.credentials)).encode()
    values = {
        "account_id": account.account_id,
        "adapter": account.adapter,
        "base_url": account.base_url,
        "channels": sorted(channel.value for channel in account.channels),
        "credentials": keyring.seal(credentials, bound_to=bound_to(account.tenant_id, account.provider)),
        "enabled": enabled,
        "rank": rank,
        "terms": _TERMS.dump_python(account.terms, mode="json"),
    }
    conn.execute(
        insert(psp_accounts)
        .values(tenant_id=uuid.UUID(account.tenant_id), provider=account.provider, **values)
        .on_conflict_do_update(index_elements=[psp_accounts.c.tenant_id, psp_accounts.c.provider], set_=values)
    )


def for_tenant(conn: Connection, keyring: Keyring, tenant_id: uuid.UUID) -> list[Account]:
    """The tenant's enabled accounts, the one to ask first in front."""
    rows = conn.execute(
        select(psp_accounts).where(psp_accounts.c.tenant_id == tenant_id, psp_accounts.c.enabled).order_by(*_RANKED)
    )
    return [_opened(keyring, row._asdict()) for row in rows]


_RANKED: Final = (psp_accounts.c.rank, psp_accounts.c.provider)
OF_ORDERS_TENANT: Final = (
    select(func.jsonb_agg(aggregate_order_by(func.to_jsonb(psp_accounts.table_valued()), *_RANKED)))
    .where(psp_accounts.c.tenant_id == orders.c.tenant_id, psp_accounts.c.enabled)
    .correlate(orders)
    .scalar_subquery()
)
"""In a statement that reads an order: the enabled accounts of its tenant. `opened` reads them."""


def get(conn: Connection, keyring: Keyring, tenant_id: uuid.UUID, provider: str) -> Account | None:
    """The tenant's account at *provider*, enabled or not: what is kept or charged there must stay in reach."""
    rows = conn.execute(
        select(psp_accounts).where(psp_accounts.c.tenant_id == tenant_id, psp_accounts.c.provider == provider)
    )
    return next((_opened(keyring, row._asdict()) for row in rows), None)


@dataclass(frozen=True, slots=True)
class Listed:
    """An account as it may be shown: all of it but its credentials."""

    provider: str
    account_id: str
    adapter: str
    base_url: str
    channels: frozenset[Channel]
    enabled: bool
    rank: int
    terms: AccountTerms


def listed(conn: Connection, tenant_id: uuid.UUID) -> list[Listed]:
    """The tenant's accounts, enabled or not, the one to ask first in front; nothing is opened."""
    rows = conn.execute(
        select(*(psp_accounts.c[field.name] for field in fields(Listed)))
        .where(psp_accounts.c.tenant_id == tenant_id)
        .order_by(psp_accounts.c.rank, psp_accounts.c.provider)
    )
    return [Listed(**(shown | _read(shown))) for shown in (row._asdict() for row in rows)]


def enable(conn: Connection, tenant_id: uuid.UUID, provider: str, *, enabled: bool) -> bool:
    """Let the account at *provider* take new payments, or no more; False if the tenant has none there.

    A disabled one stays in reach: what was charged or kept there is looked up, given back and told of as before.
    """
    row = conn.execute(
        update(psp_accounts)
        .where(psp_accounts.c.tenant_id == tenant_id, psp_accounts.c.provider == provider)
        .values(enabled=enabled)
        .returning(psp_accounts.c.provider)
    ).one_or_none()
    return row is not None


def names(conn: Connection, tenant_id: uuid.UUID | None) -> list[tuple[uuid.UUID, str]]:
    """The accounts of a tenant, or of all, enabled or not, as (tenant, provider); nothing is opened."""
    mine = true() if tenant_id is None else psp_accounts.c.tenant_id == tenant_id
    rows = conn.execute(
        select(psp_accounts.c.tenant_id, psp_accounts.c.provider)
        .where(mine)
        .order_by(psp_accounts.c.tenant_id, psp_accounts.c.provider)
    )
    return [(row.tenant_id, row.provider) for row in rows]


def by_account_id(conn: Connection, keyring: Keyring, account_id: str) -> Account | None:
    """The account a webhook address names, enabled or not: news of old money counts.

    It names no tenant: the unguessable account_id is how a webhook's tenant is learned (contract section 6), by a
    function of the database (migration 0004).
    """
    if not _LIKE_AN_ID.fullmatch(account_id):
        return None
    rows = conn.execute(_BY_ACCOUNT_ID, {"account_id": account_id})
    return next((_opened(keyring, row._asdict()) for row in rows), None)


def opened(keyring: Keyring, told: Iterable[Mapping[str, Any]] | None) -> list[Account]:
    """The accounts that OF_ORDERS_TENANT *told*, their credentials opened. Raises KeysAway or CannotOpen."""
    rows = (dict(row, credentials=bytes.fromhex(row["credentials"].removeprefix("\\x"))) for row in told or ())
    return [_opened(keyring, row) for row in rows]


def _opened(keyring: Keyring, row: Mapping[str, Any]) -> Account:
    place = bound_to(row["tenant_id"], row["provider"])
    return Account(
        tenant_id=str(row["tenant_id"]),
        provider=row["provider"],
        account_id=row["account_id"],
        adapter=row["adapter"],
        base_url=row["base_url"],
        credentials=json.loads(keyring.open(row["credentials"], bound_to=place)),
        **_read(row),
    )


def _read(row: Mapping[str, Any]) -> dict[str, Any]:
    """What of *row* is more than a text or a number."""
    channels = frozenset(Channel(channel) for channel in row["channels"])
    return {"channels": channels, "terms": _TERMS.validate_python(row["terms"], strict=False)}


def bound_to(tenant_id: uuid.UUID | str, provider: str) -> str:
    """Where an account's credentials open."""
    return f"psp:{tenant_id}:{provider}"
