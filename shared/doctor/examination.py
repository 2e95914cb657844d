"""Examines an installation: the database's own promises, then each PSP's books, within a given time.

A promise or an account that cannot be examined is a finding, and the others are examined all the same: else one slow
statement would hide whatever else is broken. Only a database that is away ends an examination.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy import Connection, Engine, Uuid, bindparam, func, select, text
from sqlalchemy.exc import SQLAlchemyError

from shared.doctor import books, checks
from shared.doctor.books import NEWS_ON_THE_WAY, NOT_ASKED, NOT_LISTED, NOT_REACHED, Comparison, NotCompared
from shared.doctor.findings import NOT_EXAMINED, SHOWN, AccountName, Check, Finding, Report
from shared.ids import first_number_at
from shared.key_service import KeysAway
from shared.keyring import CannotOpen, Keyring
from shared.psp.factory import UnknownAdapter
from shared.psp.port import Account, Psp
from shared.store import accounts
from shared.store.away import is_away
from shared.store.engine import statements
from shared.store.open_money import OpenMoney, open_money

log = structlog.get_logger(__name__)

OPEN_MONEY: Final = "open-money"
"""How the list of open money is named where it could not be read."""


@dataclass(frozen=True, slots=True)
class Scope:
    """One tenant or all (None); what was admitted or charged in the *window*; for at most *budget_s* seconds.

    *news_within*: a charge younger than this may have changed with its news still on the way, and is not judged. The
    comparison of books begins behind the account *after*, and comes to it last. A statement may take *statement_s*
    seconds, far longer than those that orders wait for: it reads a window of all orders. *clock*: by which the seconds
    of the budget pass.
    """

    window: timedelta
    budget_s: float
    tenant_id: UUID | None = None
    news_within: timedelta = NEWS_ON_THE_WAY
    after: AccountName | None = None
    statement_s: float = 50.0
    clock: Callable[[], float] = time.monotonic


def examine(engine: Engine, keyring: Keyring, psp_for: Callable[[Account], Psp], scope: Scope) -> Report:
    """Everything that is not as promised. Raises SQLAlchemyError if the database is away."""
    ends_at = scope.clock() + scope.budget_s
    began = datetime.now(UTC) - scope.window
    findings: list[Finding] = []
    money: list[OpenMoney] = []
    for check in checks.CHECKS:
        with _on_its_own(engine, check.name, scope, findings) as conn:
            findings += _broken(conn, check, scope.tenant_id, began)
    with _on_its_own(engine, OPEN_MONEY, scope, findings) as conn:
        money = open_money(conn, tenant_id=scope.tenant_id, since=first_number_at(began))
    with statements(engine) as conn:
        names = accounts.names(conn, scope.tenant_id)
    reached: list[AccountName] = []
    for name in _from_behind(scope.after, names):
        if scope.clock() > ends_at:
            findings.append(Finding(NOT_REACHED, *name, "the time for this examination was up"))
        else:
            findings += _compare(engine, keyring, psp_for, name, (began, scope.news_within))
            reached.append(name)
    return Report((*checks.CHECKS, NOT_EXAMINED, *books.CHECKS), tuple(findings), tuple(money), tuple(reached))


def _from_behind(after: AccountName | None, names: list[AccountName]) -> list[AccountName]:
    """All *names*, from the first one behind *after* round to it."""
    place = names.index(after) + 1 if after in names else 0
    return names[place:] + names[:place]


@contextmanager
def _on_its_own(engine: Engine, what: str, scope: Scope, findings: list[Finding]) -> Iterator[Connection]:
    """A transaction with time for a statement of ours; what goes wrong in it is one more of *findings*."""
    try:
        with engine.begin() as conn:
            within_ms = round(1000 * scope.statement_s)
            conn.execute(select(func.set_config("statement_timeout", str(within_ms), True)))  # noqa: FBT003
            yield conn
    except Exception as error:
        why = _why(error)
        log.exception("doctor.not_examined", subject=what, error=why)
        findings.append(Finding(NOT_EXAMINED, scope.tenant_id, what, f"not examined: {why}"))


def _why(error: Exception) -> str:
    """The name of what went wrong, and no text of it, which may hold values. Raises *error* if the database is away."""
    if isinstance(error, SQLAlchemyError) and is_away(error):
        raise error
    return type(getattr(error, "orig", None) or error).__name__


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
    except Exception as error:  # The others' books are compared all the same.
        why = _why(error)
        log.exception("doctor.not_compared", tenant=str(tenant_id), provider=provider, error=why)
        return not_compared(f"{why}: a bug, or a database that is slow; its place is in the log")
    return found
