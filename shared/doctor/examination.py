"""Examines an installation: the database's own promises, then each PSP's books, within a given time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from uuid import UUID

from sqlalchemy import Connection, Engine, Uuid, bindparam, text

from shared.doctor import books, checks
from shared.doctor.books import NEWS_ON_THE_WAY, NOT_ASKED, NOT_LISTED, NOT_REACHED, Comparison, NotCompared
from shared.doctor.findings import SHOWN, AccountName, Check, Finding, Report
from shared.ids import first_number_at
from shared.key_service import KeysAway
from shared.keyring import CannotOpen, Keyring
from shared.psp.factory import UnknownAdapter
from shared.psp.port import Account, Psp
from shared.store import accounts
from shared.store.engine import statements
from shared.store.open_money import open_money


@dataclass(frozen=True, slots=True)
class Scope:
    """One tenant or all (None); what was admitted or charged in the *window*; for at most *budget_s* seconds.

    *news_within*: a charge younger than this may have changed with its news still on the way, and is not judged. The
    comparison of books begins behind the account *after*, and comes to it last.
    """

    window: timedelta
    budget_s: float
    tenant_id: UUID | None = None
    news_within: timedelta = NEWS_ON_THE_WAY
    after: AccountName | None = None


def examine(engine: Engine, keyring: Keyring, psp_for: Callable[[Account], Psp], scope: Scope) -> Report:
    """Everything that is not as promised. Raises what the database raises."""
    ends_at = time.monotonic() + scope.budget_s
    began = datetime.now(UTC) - scope.window
    findings: list[Finding] = []
    with statements(engine) as conn:
        for check in checks.CHECKS:
            findings += _broken(conn, check, scope.tenant_id, began)
        names = accounts.names(conn, scope.tenant_id)
        money = open_money(conn, tenant_id=scope.tenant_id, since=first_number_at(began))
    reached: list[AccountName] = []
    for name in _from_behind(scope.after, names):
        if time.monotonic() > ends_at:
            findings.append(Finding(NOT_REACHED, *name, "the time for this examination was up"))
        else:
            findings += _compare(engine, keyring, psp_for, name, (began, scope.news_within))
            reached.append(name)
    return Report((*checks.CHECKS, *books.CHECKS), tuple(findings), tuple(money), tuple(reached))


def _from_behind(after: AccountName | None, names: list[AccountName]) -> list[AccountName]:
    """All *names*, from the first one behind *after* round to it."""
    place = names.index(after) + 1 if after in names else 0
    return names[place:] + names[:place]


def _broken(conn: Connection, check: Check, tenant_id: UUID | None, began: datetime) -> Iterator[Finding]:
    mine = text(f"""
        SELECT tenant_id, subject, detail FROM ({check.statement}) AS broken
        WHERE :tenant IS NULL OR tenant_id = :tenant LIMIT {SHOWN}
    """).bindparams(bindparam("tenant", type_=Uuid))  # noqa: S608 - our own text; every value is bound
    values = {"tenant": tenant_id, "since": first_number_at(began), "moment": began}
    for row in conn.execute(mine, values):
        yield Finding(check, row.tenant_id, row.subject, row.detail)


def _compare(
    engine: Engine,
    keyring: Keyring,
    psp_for: Callable[[Account], Psp],
    name: AccountName,
    age: tuple[datetime, timedelta],
) -> list[Finding]:
    """The differences of one account, and whether it could be compared at all."""
    tenant_id, provider = name
    found: list[Finding] = []

    def not_compared(why: str) -> list[Finding]:
        return [*found, Finding(NOT_ASKED, tenant_id, provider, why)]

    try:
        with statements(engine) as conn:
            account = accounts.get(conn, keyring, tenant_id, provider)
        assert account is not None, "an account is disabled, never deleted"
        psp = psp_for(account)
        if not psp.capabilities.lists_charges:
            return [Finding(NOT_LISTED, tenant_id, provider, "not compared: this PSP lists no charges")]
        for finding in islice(Comparison(engine, psp, account, *age).findings(), SHOWN):
            found.append(finding)  # One by one: what was found counts, even if the rest cannot be read.
    except NotCompared as error:
        return not_compared(str(error))
    except (CannotOpen, KeysAway, UnknownAdapter) as error:
        return not_compared(f"{type(error).__name__}: see C2A_KEYRING and the account's adapter")
    return found
