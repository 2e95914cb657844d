"""c2a keys: what a tenant's programs show to be let in."""

from __future__ import annotations

import json
import uuid
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Final

import click
from redis.exceptions import RedisError

from shared import revocations, vault
from shared.cli.database import installation, need_tenant, transaction
from shared.cli.show import json_option, of_tenant, show, show_table, tenant_option
from shared.config import Settings
from shared.store import keys
from shared.store.keys import KeyRole, KnownKey

NOT_AT_ONCE: Final = (
    "The key is revoked, but the vault (VAULT_URL) did not answer: API processes that reach it believe the key for up"
    " to {seconds:g} s more. Run the command again when the vault answers."
)


@click.group(
    "keys",
    epilog="""\b
Examples:
  c2a keys create --tenant e2a1c7b2-4f3a-4b8e-9c2d-1a2b3c4d5e6f --role operator
  c2a keys list --tenant e2a1c7b2-4f3a-4b8e-9c2d-1a2b3c4d5e6f""",
)
def group() -> None:
    """Create, list and revoke API keys."""


@group.command(
    epilog="""\b
Examples:
  c2a keys create --tenant e2a1c7b2-4f3a-4b8e-9c2d-1a2b3c4d5e6f --role storefront
  c2a keys create --tenant e2a1c7b2-4f3a-4b8e-9c2d-1a2b3c4d5e6f --role read_only --live --days 90"""
)
@tenant_option
@click.option("--role", type=click.Choice([role.value for role in KeyRole]), required=True, help="What it may do.")
@click.option("--live", is_flag=True, help="A live key (sk_live_, pk_live_); without it one for development.")
@click.option("--days", type=click.IntRange(1, 3650), help="How many days it is good for; without it for ever.")
@json_option
def create(tenant_id: uuid.UUID, role: str, live: bool, days: int | None, as_json: bool) -> None:
    """Create a key and print it: this once, for only its digest is kept."""
    expires_at = None if days is None else datetime.now(UTC) + timedelta(days=days)
    with transaction() as conn:
        need_tenant(conn, tenant_id)
        key = keys.create(conn, tenant_id, KeyRole(role), live=live, expires_at=expires_at)
    show({"apiKey": key, "role": role, "tenant": str(tenant_id), "keyId": keys.key_id_of(key)}, as_json=as_json)


@group.command(
    "list",
    epilog="""\b
Example:
  c2a keys list --tenant e2a1c7b2-4f3a-4b8e-9c2d-1a2b3c4d5e6f""",
)
@tenant_option
@json_option
def list_keys(tenant_id: uuid.UUID, as_json: bool) -> None:
    """List the tenant's keys by id and first characters, those that are over among them."""
    with transaction() as conn:
        need_tenant(conn, tenant_id)
        found = keys.list_of(conn, tenant_id)
    records = [_record(one) for one in found]
    if as_json:
        click.echo(json.dumps({"keys": records}))
    else:
        show_table(records)


@group.command(
    epilog="""\b
Example:
  c2a keys revoke 91fd3f7a20c4be55 --tenant e2a1c7b2-4f3a-4b8e-9c2d-1a2b3c4d5e6f"""
)
@of_tenant("key_id")
@json_option
def revoke(key_id: str, tenant_id: uuid.UUID, as_json: bool) -> None:
    """Revoke the key KEY_ID (`c2a keys list` shows it) at once and for good.

    Besides the database it tells the vault's Redis (VAULT_URL), where every call of the API looks.
    """
    with installation() as (settings, engine):
        with engine.begin() as conn:
            need_tenant(conn, tenant_id)
            if not keys.revoke(conn, tenant_id, key_id):
                raise click.ClickException("KEY_ID: this tenant has no such key; `c2a keys list` shows its keys")
        at_once = _told(settings, key_id)
        if not at_once:
            click.echo(NOT_AT_ONCE.format(seconds=settings.key_cache_s), err=True)
    show({"keyId": key_id, "revoked": True, "atOnce": at_once}, as_json=as_json)


def _told(settings: Settings, key_id: str) -> bool:
    """Tell the running processes; False if they cannot be told."""
    try:
        with closing(vault.connect(settings.vault_url.get_secret_value())) as redis:
            revocations.mark(redis, key_id)
    except (RedisError, ValueError):  # ValueError: a URL that is none.
        return False
    return True


def _record(key: KnownKey) -> dict[str, str | None]:
    def shown(moment: datetime | None) -> str | None:
        return None if moment is None else moment.isoformat(timespec="seconds")

    return {
        "keyId": key.key_id,
        "prefix": key.prefix,
        "role": key.role.value,
        "createdAt": shown(key.created_at),
        "expiresAt": shown(key.expires_at),
        "revokedAt": shown(key.revoked_at),
    }
