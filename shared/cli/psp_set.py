"""c2a psps set: creates an account of a tenant at a PSP, or changes one."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from typing import Any, BinaryIO, Final

import click

from shared.cli import lines
from shared.cli.database import installation, keyring_of, need_tenant
from shared.cli.psp_account import ANY, NONE, Given, Made, before, made
from shared.cli.psp_same import need_same
from shared.cli.show import json_option, of_tenant, show
from shared.config import Settings
from shared.psp.credentials import NEEDS
from shared.psp.port import Channel
from shared.store import accounts

NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")
"""A provider's name stands in its webhook's address and in what storefronts send."""
MOST_BYTES: Final = 64 << 10
"""No PSP's credentials are longer than a certificate and a few keys."""


@click.command(
    "set",
    epilog="""\b
Credentials are one JSON object of texts, in a file or on standard input. Without --credentials a new account's are
asked for, and what is typed is not shown. They are sealed (C2A_KEYRING) and never printed.

\b
Examples:
  c2a psps set stripe --tenant e2a1c7b2-4f3a-4b8e-9c2d-1a2b3c4d5e6f --adapter stripe \\
      --base-url https://api.stripe.com --channel CreditCard --channel PayPal \\
      --home-currency EUR --fee-bps 150 --fee-minor 25 --credentials stripe.json
  c2a psps set stripe --tenant e2a1c7b2-4f3a-4b8e-9c2d-1a2b3c4d5e6f --rank 10 --currency EUR --currency USD
  pass show stripe | c2a psps set stripe --tenant e2a1c7b2-4f3a-4b8e-9c2d-1a2b3c4d5e6f --credentials -""",
)
@of_tenant("provider")
@click.option("--adapter", type=click.Choice(sorted(NEEDS)), help="Which PSP it is; needed for a new account.")
@click.option("--base-url", metavar="URL", help="Where it is called; needed for a new account.")
@click.option(
    "--channel",
    "channels",
    multiple=True,
    type=click.Choice([channel.value for channel in Channel]),
    help="What it takes, once for each; needed for a new account.",
)
@click.option("--currency", "currencies", multiple=True, metavar="CODE", help=f"Once for each; {ANY}: no limit.")
@click.option(
    "--home-currency",
    "home_currencies",
    multiple=True,
    metavar="CODE",
    help=f"Where the account is at home, once for each; {NONE}: not told.",
)
@click.option("--fee-bps", type=click.IntRange(0, 10_000), help="Of the amount, in hundredths of a percent.")
@click.option("--fee-minor", type=click.IntRange(0, 1_000_000), help="Of every charge, in minor units.")
@click.option(
    "--calls-per-s", type=click.FloatRange(0, 100_000), help="Calls a second; 0: as the adapter knows its PSP."
)
@click.option("--rank", type=click.IntRange(0, 1_000_000), help="Lower is asked first among equals.")
@click.option("--credentials", type=click.File("rb"), help="A file with the credentials, or - for standard input.")
@click.option("--disabled", is_flag=True, help="Take no payments yet: check first, then `c2a psps enable`.")
@json_option
def set_account(provider: str, tenant_id: uuid.UUID, credentials: BinaryIO | None, as_json: bool, **given: Any) -> None:
    """Create the account at PROVIDER, or change what is named of it.

    PROVIDER is the tenant's own name for it, as storefronts may send it in providerIdentifier. It prints the address
    to enter at the PSP as its webhook.

    While money is open at an account it stays the same one: secrets may be rotated, and its terms changed, but another
    adapter, address or account at the PSP is refused. That is set up under another name.
    """
    if not NAME.fullmatch(provider):
        raise click.ClickException("PROVIDER: write it in at most 64 small letters, digits, dots, dashes, underscores")
    asked = Given(**given, credentials=None if credentials is None else _read(credentials))
    with installation() as (settings, engine):
        ring = keyring_of(settings)
        with engine.begin() as conn:
            need_tenant(conn, tenant_id)
            was = before(conn, ring, tenant_id, provider)
        kept = made(tenant_id, provider, was, asked, settings.mode)
        need_same(engine, was, kept.account)
        with engine.begin() as conn:
            accounts.save(conn, ring, kept.account, rank=kept.rank, enabled=kept.enabled)
    show(_shown(settings, kept), as_json=as_json)


def _read(file: BinaryIO) -> Mapping[str, Any]:
    text = file.read(MOST_BYTES + 1)
    if len(text) > MOST_BYTES:
        raise click.ClickException(f"--credentials: longer than {MOST_BYTES} bytes")
    try:
        return lines.json_object(text)
    except lines.Unreadable as error:
        raise click.ClickException(f"--credentials: {error}") from None


def _shown(settings: Settings, kept: Made) -> dict[str, object]:
    account = kept.account
    return {
        "provider": account.provider,
        "tenant": account.tenant_id,
        "adapter": account.adapter,
        "enabled": kept.enabled,
        "webhookUrl": f"{settings.public_url}/api/v1/c2a/psp/{account.provider}/{account.account_id}/webhook",
    }
