"""No step asks a PSP while it has a transaction open: a slow PSP must not hold our connections and locks (B7)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import pytest

from shared.domain.states import OrderState
from shared.psp.port import Psp
from tests.support.engine_room import EngineRoom
from tests.support.psp import Sandbox
from tests.support.wire import fresh_card
from workers import reconcile
from workers.look_up import look_up
from workers.pay import pay
from workers.return_money import return_money
from workers.runtime import Runtime
from workers.tokenize import tokenize

VERBS: Final = frozenset({"charge", "look_up", "void", "refund"})


@dataclass(frozen=True, slots=True)
class _Watched:
    """A PSP that notes, at each call, how many transactions are open in the database and wait for whoever began them.

    A heartbeat's statement, which commits by itself, may run at that moment.
    """

    psp: Psp
    room: EngineRoom
    seen: list[tuple[str, int]]

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self.psp, name)
        if name not in VERBS:
            return verb

        def called(*args: Any, **kwargs: Any) -> Any:
            [(count,)] = self.room.sql(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
                " AND state LIKE 'idle in transaction%' AND backend_type = 'client backend'"
            )
            self.seen.append((name, count))
            return verb(*args, **kwargs)

        return called


@pytest.fixture
def seen() -> list[tuple[str, int]]:
    return []


@pytest.fixture
def watched(room: EngineRoom, seen: list[tuple[str, int]]) -> Runtime:
    return replace(room.run, psp_for=lambda _: _Watched(room.psp, room, seen))


def test_a_payment(room: EngineRoom, watched: Runtime, seen: list[tuple[str, int]]) -> None:
    assert pay(watched, room.locked())
    assert seen == [("charge", 0)]


def test_a_look_up(room: EngineRoom, watched: Runtime, seen: list[tuple[str, int]]) -> None:
    number = room.locked(fresh_card("4000007700000141"))
    pay(room.run, number)
    assert room.state(number) is OrderState.CONFIRMING
    look_up(watched, number)
    assert seen == [("look_up", 0)]


def test_storing_a_method(room: EngineRoom, watched: Runtime, seen: list[tuple[str, int]]) -> None:
    number = room.locked(fresh_card(storeMethodSuccessPayment="always"))
    pay(room.run, number)
    room.sql("UPDATE payment_attempts SET kept_token = NULL WHERE tracking_number = :n", n=number)
    tokenize(watched, number)
    assert seen == [("look_up", 0)]


@pytest.mark.parametrize(("window_s", "asks"), [(86_400, ["look_up", "void"]), (0, ["look_up", "void", "refund"])])
def test_giving_money_back(
    room: EngineRoom,
    watched: Runtime,
    seen: list[tuple[str, int]],
    shared_psp: Sandbox,
    window_s: int,
    asks: list[str],
) -> None:
    number = room.locked()
    assert pay(room.run, number)
    room.sql("UPDATE payment_attempts SET outcome = 'returning', due_at = now() WHERE tracking_number = :n", n=number)
    shared_psp.set_faults(voidWindowSeconds=window_s)
    return_money(watched, number)
    assert seen == [(verb, 0) for verb in asks]


def test_reconciling(room: EngineRoom, watched: Runtime, seen: list[tuple[str, int]]) -> None:
    number = room.locked()
    room.dies_while_charging(number, after_the_charge=False)
    room.sql("UPDATE payment_attempts SET asked_at = now() - interval '1 hour' WHERE tracking_number = :n", n=number)
    room.sql(
        "UPDATE orders SET state = 'failed', failure = 'CANCELLED', due_at = NULL, lease_until = NULL,"
        " finished_at = now() WHERE tracking_number = :n",
        n=number,
    )
    reconcile.settle_beside(watched, room.seller.shop.tenant_id, ends_at=float("inf"))
    assert ("look_up", 0) in seen
    assert {count for _, count in seen} == {0}
