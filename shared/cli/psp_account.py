"""The account that `c2a psps set` makes of what it was told and of what there was before.

What was not told stays as it is. Credentials that go to another place than before must be given again: a typing error
in a URL must not send a live key to a stranger. No transaction is open here: somebody may be asked to type.
"""

from __future__ import annotations

import re
import secrets
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import click
from sqlalchemy import Connection

from shared import urls
from shared.config import Mode
from shared.keyring import CannotOpen, Keyring
from shared.psp.credentials import NEEDS, faults_in
from shared.psp.factory import psp_for
from shared.psp.port import Account, AccountTerms, Channel
from shared.store import accounts
from shared.store.accounts import Listed

CURRENCY: Final = re.compile(r"[A-Z]{3}")
ANY: Final = "any"
NONE: Final = "none"


@dataclass(frozen=True, slots=True)
class Given:
    """What the command was told; None or empty where it was told nothing."""

    adapter: str | None
    base_url: str | None
    channels: tuple[str, ...]
    currencies: tuple[str, ...]
    home_currencies: tuple[str, ...]
    fee_bps: int | None
    fee_minor: int | None
    calls_per_s: float | None
    rank: int | None
    disabled: bool
    credentials: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Before:
    """What there was; *account* None where it cannot be opened any more."""

    shown: Listed
    account: Account | None


@dataclass(frozen=True, slots=True)
class Made:
    """The account as it is to be kept."""

    account: Account
    rank: int
    enabled: bool


def before(conn: Connection, ring: Keyring, tenant_id: uuid.UUID, provider: str) -> Before | None:
    """What there was of the account."""
    shown = next((one for one in accounts.listed(conn, tenant_id) if one.provider == provider), None)
    if shown is None:
        return None
    try:
        return Before(shown, accounts.get(conn, ring, tenant_id, provider))
    except CannotOpen:
        return Before(shown, None)


def made(tenant_id: uuid.UUID, provider: str, was: Before | None, given: Given, mode: Mode) -> Made:
    """The account after the command. Raises click.ClickException for what cannot be."""
    before = was.shown if was else None
    adapter = given.adapter or (before.adapter if before else None)
    base_url = given.base_url or (before.base_url if before else None)
    channels = frozenset(map(Channel, given.channels)) or (before.channels if before else frozenset())
    if adapter is None or base_url is None or not channels:
        raise click.ClickException("a new account needs --adapter, --base-url and --channel")
    if given.base_url is not None:
        _judge(given.base_url, mode)
    account = Account(
        tenant_id=str(tenant_id),
        provider=provider,
        account_id=before.account_id if before else secrets.token_urlsafe(16),
        adapter=adapter,
        base_url=base_url,
        channels=channels,
        credentials=_credentials(was, given, adapter, base_url),
        terms=_terms(before.terms if before else AccountTerms(), given),
    )
    rank = given.rank if given.rank is not None else before.rank if before else accounts.RANK
    was_enabled = before.enabled if before else True
    return Made(_within_its_abilities(account), rank, was_enabled and not given.disabled)


def _judge(base_url: str, mode: Mode) -> None:
    try:
        urls.psp_url(base_url, mode)
    except urls.UnsafeUrl as error:
        raise click.ClickException(f"--base-url: {error}") from None


def _credentials(was: Before | None, given: Given, adapter: str, base_url: str) -> Mapping[str, str]:
    """Those that were given, else those there are, else those somebody types."""
    needs = NEEDS[adapter]
    told = given.credentials
    if told is None and was is not None:
        if (adapter, base_url) != (was.shown.adapter, was.shown.base_url):
            raise click.ClickException("--credentials: give them again, for they go to another place than before")
        if was.account is None:
            raise click.ClickException("--credentials: give them, for those that are kept open with no key here")
        return was.account.credentials
    if told is None:
        told = {name: click.prompt(name, hide_input=True, err=True) for name in needs.needed}
    faults = faults_in(told, needs)
    if faults:
        raise click.ClickException(f"--credentials: {'; '.join(faults)}")
    return told


def _terms(before: AccountTerms, given: Given) -> AccountTerms:
    changed: dict[str, Any] = {}
    if given.currencies:
        changed["currencies"] = _codes("--currency", given.currencies, ANY) or None
    if given.home_currencies:
        changed["home_currencies"] = _codes("--home-currency", given.home_currencies, NONE)
    for name in ("fee_bps", "fee_minor"):
        if getattr(given, name) is not None:
            changed[name] = getattr(given, name)
    if given.calls_per_s is not None:
        changed["calls_per_s"] = given.calls_per_s or None
    return replace(before, **changed)


def _codes(option: str, given: Sequence[str], word: str) -> frozenset[str]:
    if list(given) == [word]:
        return frozenset()
    if not all(CURRENCY.fullmatch(code) for code in given):
        raise click.ClickException(f"{option}: a currency is three capital letters (ISO 4217); or {word}, alone")
    return frozenset(given)


def _within_its_abilities(account: Account) -> Account:
    """*account*, if its PSP can do what it is to do; where no currencies are named, those its PSP takes are written
    down, so that an order it cannot take is refused when it is placed."""
    can = psp_for(account).capabilities
    _refuse("--channel", account.channels - can.channels)
    if can.currencies is None:
        return account
    _refuse("--currency", (account.terms.currencies or frozenset()) - can.currencies)
    return replace(account, terms=replace(account.terms, currencies=account.terms.currencies or can.currencies))


def _refuse(option: str, beyond: frozenset[str]) -> None:
    if beyond:
        raise click.ClickException(f"{option}: this PSP does not take {', '.join(sorted(beyond))}")
