"""Is what `c2a psps set` makes still the account that our open money is at?

Under a provider's name money is looked up, asked for again and given back. Another account in its place knows nothing
of that: a payment in doubt would be taken there a second time, and what is to go back would never be found.

Its adapter, its address and what its credentials name tell another account at once. Keys do not, so the PSP is asked
with new ones for a charge that we know it has. Where it cannot be asked, or we know of no charge there, the names alone
are compared. An order that is charged in the very moment of the change is not seen.
"""

from __future__ import annotations

import uuid

import click
from sqlalchemy import Engine

from shared.cli.psp_account import Before
from shared.domain.outcomes import Absent, Unanswered
from shared.psp.credentials import KEY, NEEDS
from shared.psp.factory import psp_over
from shared.psp.http import Http
from shared.psp.port import Account
from shared.store import attempts
from shared.store.attempts import Attempt
from shared.store.engine import statements
from shared.store.open_money import is_open_at


def need_same(engine: Engine, was: Before | None, account: Account) -> None:
    """Raise click.ClickException if money is open at *was*, and *account* is another one or may be. No transaction is
    open while its PSP is asked."""
    tenant_id = uuid.UUID(account.tenant_id)
    with statements(engine) as conn:
        if was is None or not is_open_at(conn, tenant_id, account.provider):
            return
        known = attempts.known_charge_at(conn, tenant_id, account.provider)
    why = _why_another(was, account) or _why_strange(was, account, known)
    if why is not None:
        raise click.ClickException(
            f"PROVIDER: money is open at this account (`c2a doctor` shows it), and {why}. Wait until it is settled, "
            "or set the other account up under a new name and disable this one"
        )


def _why_another(was: Before, account: Account) -> str | None:
    """What names another account than before."""
    if account.adapter != was.shown.adapter:
        return "it would not be found behind another --adapter"
    if account.base_url.rstrip("/") != was.shown.base_url.rstrip("/"):
        return "it would not be found behind another --base-url"
    for name in NEEDS[account.adapter].names:
        if was.account is not None and account.credentials.get(name) != was.account.credentials.get(name):
            return f"--credentials: {name} is another one than before"
    return None


def _why_strange(was: Before, account: Account, known: Attempt | None) -> str | None:
    """What its PSP says, asked with new credentials for the charge of *known*."""
    if known is None or (was.account is not None and account.credentials[KEY] == was.account.credentials[KEY]):
        return None
    http = Http()
    try:
        psp = psp_over(account, http)
        answer = psp.look_up(known.query) if psp.capabilities.looks_up else None
    finally:
        http.close()
    match answer:
        case Absent():
            return f"--credentials: they are of another account, for it does not know {known.psp_reference}"
        case Unanswered():
            return "--credentials: its PSP does not say with them whether they are of the same account (try again)"
        case _:
            return None
