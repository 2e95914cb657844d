"""More accounts than an examination has time for: each has its turn, and what is beside orders is settled anyhow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Final

import pytest
from structlog.testing import capture_logs

from shared.config import Settings
from shared.doctor import books
from shared.doctor.examination import Scope
from shared.doctor.findings import Report
from shared.psp.port import Account, Psp
from shared.store import accounts
from shared.store.attempts import AttemptState
from tests.integration.test_beside import done_beside
from tests.support import engine_room
from tests.support.engine_room import EngineRoom
from tests.support.psp import Sandbox
from workers import examiner
from workers.books_in_turn import BooksInTurn

BUDGET_S: Final = 1.0
"""For a test's examination, by a clock that only a slow PSP moves: how long statements take is not the matter here."""
PROVIDERS: Final = ("first", "sandbox", "second", "third")


@pytest.fixture
def room(settings: Settings, vault_url: str, shared_psp: Sandbox) -> Iterator[EngineRoom]:
    """A tenant with four accounts."""
    shared_psp.heal()
    with engine_room.opened(settings, vault_url, shared_psp, lease_s=1) as made:
        for provider in PROVIDERS:
            if provider != made.account.provider:
                own = replace(made.account, provider=provider, account_id=f"{provider}-{made.account.tenant_id}")
                with made.run.engine.begin() as conn:
                    accounts.save(conn, made.run.keyring, own)
        yield made
    shared_psp.heal()


class Slow:
    """PSPs of which one takes up all the time of an examination."""

    def __init__(self, room: EngineRoom) -> None:
        self.run = replace(room.run, psp_for=self._reach)
        self.now = 1_000.0
        self.reached: list[str] = []
        self._psp_for = room.run.psp_for

    def _reach(self, account: Account) -> Psp:
        self.reached.append(account.provider)
        self.now += 1.1 * BUDGET_S
        return self._psp_for(account)


def scope(room: EngineRoom, window: timedelta = timedelta(hours=1)) -> Scope:
    """This room's tenant, and time for one account."""
    return Scope(window, BUDGET_S, room.seller.shop.tenant_id, timedelta(0))


def examined(slow: Slow, within: Scope, turn: BooksInTurn) -> tuple[Report, list[str]]:
    """What an examination found, and of which accounts it raised an alarm that they were not come to."""
    with capture_logs() as logs:
        report = examiner.examine_alone(slow.run, replace(within, clock=lambda: slow.now), turn)
    assert report is not None
    told = [line for line in logs if line["event"] == "doctor.found" and line["check"] == books.NOT_REACHED.name]
    return report, [line["subject"] for line in told]


def test_the_books_are_gone_on_with_where_the_last_examination_stopped(room: EngineRoom) -> None:
    slow, turn = Slow(room), BooksInTurn()

    alarms = [examined(slow, scope(room), turn)[1] for _ in range(len(PROVIDERS) + 1)]

    assert slow.reached == [*PROVIDERS, PROVIDERS[0]]
    assert alarms == [[]] * len(alarms), "each is come to within the window that is examined"


def test_an_account_that_is_not_come_to_within_the_window_is_an_alarm(room: EngineRoom) -> None:
    slow, turn = Slow(room), BooksInTurn()
    within = scope(room, window=timedelta(seconds=2 * BUDGET_S))

    examined(slow, within, turn)
    examined(slow, within, turn)
    report, alarms = examined(slow, within, turn)

    assert {one.subject for one in report.of(books.NOT_REACHED)} == {"first", "sandbox", "third"}
    assert alarms == ["third", "first"], "the one that was last come to has waited for less than the window"


def test_what_is_beside_orders_is_settled_however_long_the_books_took(room: EngineRoom, shared_psp: Sandbox) -> None:
    number, _ = done_beside(room, shared_psp, "open", None)

    examined(Slow(room), scope(room), BooksInTurn())

    assert room.attempts(number)[1].outcome is AttemptState.ABSENT
