"""What cannot be examined is told, and hides nothing else; a loop takes no bug for a database that is away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, text

from shared.config import Settings
from shared.doctor import books, checks
from shared.doctor.examination import OPEN_MONEY, examine
from shared.doctor.findings import NOT_EXAMINED, Report
from shared.psp.port import Account, Psp
from shared.store import accounts
from shared.store.engine import create_engine, statements
from tests.support.engine_room import EngineRoom
from tests.support.examined import charge_without_us, done, scope
from tests.support.told import told_of
from workers.loop import Loop


@pytest.fixture
def room(own_room: EngineRoom) -> EngineRoom:
    """A tenant of this test's own."""
    return own_room


def examined(room: EngineRoom, statement_s: float = 2.0) -> Report:
    """An examination of the database alone, whose statements have little time: all of them, also those that nobody is
    in the way of."""
    run, little = room.run, replace(scope(room, budget_s=-1.0), statement_s=statement_s)
    report = examine(run.engine, run.keyring, run.psp_for, little)
    return replace(report, findings=tuple(one for one in report.findings if one.check is not books.NOT_REACHED))


@contextmanager
def locked(room: EngineRoom, table: str) -> Iterator[None]:
    """Nobody reads *table* within, however long that is."""
    with room.owner.begin() as somebody:
        somebody.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        somebody.execute(text(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))
        yield


def planted(room: EngineRoom) -> str:
    """A done order that nobody paid."""
    number = done(room)
    room.sql("UPDATE payment_attempts SET outcome = 'returned' WHERE tracking_number = :n", n=number)
    return number


def test_a_check_over_its_time_is_told_and_the_others_are_examined(room: EngineRoom) -> None:
    number = planted(room)
    with locked(room, "idempotency_keys"):
        report = examined(room)

    assert [(one.check, one.subject) for one in report.findings] == [
        (checks.DONE_IS_PAID, number),
        (NOT_EXAMINED, checks.KEYS_HAVE_ORDERS.name),
    ]
    assert report.findings[1].detail == "not examined: QueryCanceled"
    assert report.unknown == {checks.KEYS_HAVE_ORDERS.name}


def test_a_check_that_the_database_refuses_is_told_and_the_others_are_examined(room: EngineRoom) -> None:
    number = planted(room)
    room.sql("ALTER TABLE idempotency_keys RENAME TO elsewhere")
    try:
        report = examined(room)
    finally:
        room.sql("ALTER TABLE elsewhere RENAME TO idempotency_keys")

    assert [(one.check, one.subject, one.detail) for one in report.findings[1:]] == [
        (NOT_EXAMINED, checks.KEYS_HAVE_ORDERS.name, "not examined: UndefinedTable")
    ]
    assert report.findings[0].subject == number


def test_open_money_that_cannot_be_read_in_time_is_told(room: EngineRoom) -> None:
    with locked(room, "payment_attempts"):
        report = examined(room, statement_s=0.05)

    assert OPEN_MONEY in report.unknown


def test_an_account_that_meets_a_bug_is_told_and_the_others_are_compared(room: EngineRoom) -> None:
    own = replace(room.account, provider="a-bug", account_id=f"bug-{room.account.tenant_id}")
    with room.run.engine.begin() as conn:
        accounts.save(conn, room.run.keyring, own)
    reference = charge_without_us(room)

    def reach(account: Account) -> Psp:
        if account.provider == own.provider:
            raise ValueError(account.base_url)
        return room.run.psp_for(account)

    found = examine(room.run.engine, room.run.keyring, reach, scope(room)).findings

    assert [(one.check, one.subject) for one in found] == [(books.NOT_ASKED, own.provider), (books.ORPHAN, reference)]
    assert "ValueError" in found[0].detail
    assert own.base_url not in found[0].detail


@pytest.mark.parametrize(
    ("statement", "event"),
    [
        ("SELECT 1 / 0", "loop.failed"),
        ("SELECT nothing", "loop.failed"),
        ("SET LOCAL statement_timeout = 10; SELECT pg_sleep(30)", "loop.failed"),
        ("SELECT pg_terminate_backend(pg_backend_pid())", "loop.database_away"),
    ],
    ids=["a value it cannot take", "a statement it does not know", "over its time", "cut off"],
)
def test_a_loop_tells_a_bug_from_a_database_that_is_away(engine: Engine, statement: str, event: str) -> None:
    def work(_: int) -> None:
        with engine.begin() as conn:
            conn.execute(text(statement))

    with told_of("loop") as told:
        Loop("test", 60.0, work).round(0)

    assert [line["event"] for line in told] == [event]


def test_a_server_that_is_not_there_is_away(settings: Settings) -> None:
    nowhere = create_engine(settings.model_copy(update={"database_url": SecretStr("postgresql://127.0.0.1:9/none")}))

    def work(_: int) -> None:
        with statements(nowhere) as conn:
            conn.execute(text("SELECT 1"))

    with told_of("loop") as told:
        Loop("test", 60.0, work).round(0)

    assert [line["event"] for line in told] == ["loop.database_away"]
