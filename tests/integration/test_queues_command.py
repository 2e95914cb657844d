"""`c2a queues`: what waits is told by rows and broker, and a broker that is away hides no row."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.domain.states import OrderState
from shared.messages import Step, queues
from shared.operate.queues import steps_of
from tests.support.engine_room import EngineRoom
from tests.support.operating import at_a_shell, c2a, said
from tests.support.order_crowds import nobody
from tests.support.psp import until


@pytest.fixture(autouse=True)
def _shell(room: EngineRoom, tmp_path: Path) -> Iterator[None]:
    nobody(room.owner)
    with at_a_shell(room, tmp_path):
        yield


def waiting(kind: str) -> dict[str, Any]:
    [found] = [one for one in said("queues")["waiting"] if one["kind"] == kind]
    return dict(found)


def test_orders_are_counted_with_the_age_of_the_oldest(room: EngineRoom) -> None:
    room.admitted()
    old, due, row, parked = (room.locked() for _ in range(4))
    room.sql("UPDATE orders SET changed_at = now() - interval '10 min' WHERE tracking_number = :n", n=old)
    room.sql("UPDATE orders SET due_at = now() - interval '1 s' WHERE tracking_number = :n", n=due)
    room.sql("UPDATE orders SET waits_for = 'sandbox' WHERE tracking_number = :n", n=row)
    room.sql("UPDATE orders SET parked = true WHERE tracking_number = :n", n=parked)
    assert waiting(OrderState.ADMITTED)["count"] == 1
    found = waiting(OrderState.OFFER_LOCKED)
    assert (found["count"], found["due"], found["inRow"], found["parked"]) == (4, 1, 1, 1)
    assert (found["queue"], found["step"]) == ("payment", "order.pay.v1")
    assert 600 <= found["oldestSeconds"] < 660
    assert "10 min" in c2a("queues").output
    assert waiting(OrderState.CAPTURED)["oldestSeconds"] is None


def test_messages_are_counted_by_the_broker(room: EngineRoom) -> None:
    before = {one["queue"]: one["messages"] for one in said("queues")["queues"]}
    assert set(before) == set(queues())
    room.run.doorbell.ring(Step.TOKENIZE, room.locked())

    def more() -> bool:
        now = {one["queue"]: one for one in said("queues")["queues"]}
        assert now["tokenization"]["consumers"] is None, "Redis does not know who reads"
        return bool(now["tokenization"]["messages"] > before["tokenization"])

    assert until(more)


def test_a_broker_that_is_away_hides_no_row(room: EngineRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    room.locked()
    monkeypatch.setenv("BROKER_URL", "redis://127.0.0.1:9/0")
    result = c2a("queues", "--json")
    assert result.exit_code == 3
    document = json.loads(result.stdout)
    assert document["queues"] == []
    assert document["broker"].startswith("away")
    assert {one["kind"]: one["count"] for one in document["waiting"]}["offer_locked"] == 1
    assert "nothing is lost" in c2a("queues").output


def test_money_going_back_and_webhooks_of_nobody_are_counted(room: EngineRoom) -> None:
    number = room.locked()
    room.dies_while_charging(number, after_the_charge=False)
    room.sql(
        "UPDATE payment_attempts SET outcome = 'returning', due_at = now(), settled_at = now()"
        " WHERE tracking_number = :n",
        n=number,
    )
    room.sql(
        "INSERT INTO psp_events (tenant_id, provider, event_id, kind) VALUES (:t, 'sandbox', :e, 'charge')",
        t=room.seller.shop.tenant_id,
        e=f"evt_{number}",
    )
    assert (waiting("money going back")["count"], waiting("money going back")["due"]) == (1, 1)
    assert waiting("parked webhooks")["count"] == 1


def test_every_queue_says_what_it_is_for() -> None:
    for queue in queues():
        assert steps_of(queue)


def test_the_help_has_examples_and_exit_codes() -> None:
    told = c2a("queues", "--help").output
    assert "Exit codes" in told
    assert "c2a queues --json" in told
