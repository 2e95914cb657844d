"""Upkeep tells what stands where, each part by itself, and names nobody."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from pydantic import SecretStr

from shared.config import Settings
from shared.domain.states import OrderState
from shared.keyring import Keyring
from shared.store import gauges
from shared.vault import Vault, connect
from tests.support import lanes
from tests.support.engine_room import EngineRoom
from tests.support.key_services import SomeKms
from tests.support.order_crowds import a_crowd, nobody
from tests.support.order_rows import an_order
from tests.support.psp import until
from tests.support.scraped import Scraped
from workers.gauges import Look
from workers.runtime import Runtime, build
from workers.snapshot import GAUGES, MOVES, Snapshot

NOWHERE = "127.0.0.1:1"


def told(snapshot: Snapshot) -> Scraped:
    """What a scrape of *snapshot* reads."""
    registry = CollectorRegistry()
    registry.register(snapshot)
    return Scraped(generate_latest(registry).decode())


def looked(run: Runtime) -> Scraped:
    """What one look of *run* tells."""
    snapshot = Snapshot()
    Look(run, snapshot).look()
    return told(snapshot)


@pytest.fixture
def empty(room: EngineRoom) -> Iterator[EngineRoom]:
    """The engine room without any order."""
    nobody(room.owner)
    yield room
    nobody(room.owner)


def test_live_orders_are_counted_by_where_they_stand_and_the_longest_unmoved_tells_its_age(empty: EngineRoom) -> None:
    for _ in range(3):
        an_order(empty.owner, OrderState.ADMITTED)
    for state in (OrderState.CAPTURED, OrderState.CONFIRMING, OrderState.DONE, OrderState.FAILED):
        an_order(empty.owner, state)
    pending = an_order(empty.owner, OrderState.CONFIRMING)
    in_row = an_order(empty.owner, OrderState.OFFER_LOCKED)
    empty.sql(
        "UPDATE orders SET deadline_at = now() + interval '14 d' WHERE tracking_number = :n", n=pending.tracking_number
    )
    empty.sql("UPDATE orders SET waits_for = 'sandbox' WHERE tracking_number = :n", n=in_row.tracking_number)
    empty.sql("UPDATE orders SET changed_at = now() - interval '90 s', parked = true WHERE state = 'captured'")

    scraped = looked(empty.run)

    counts = {kind: scraped.value("c2a_orders", kind=kind) for kind in gauges.KINDS}
    assert counts == dict.fromkeys(gauges.KINDS, 0) | {
        "admitted": 3, "captured": 1, "confirming": 1, "pending": 1, "in_row": 1,
    }  # fmt: skip
    assert 90 <= scraped.value("c2a_orders_oldest_seconds", kind="captured") < 120
    assert scraped.value("c2a_orders_oldest_seconds", kind="admitted") < 30
    assert scraped.value("c2a_orders_parked") == 1


def test_open_money_is_told_in_sums_by_outcome_and_currency(empty: EngineRoom) -> None:
    for _ in range(2):
        empty.dies_while_charging(empty.locked(), after_the_charge=True)
    empty.sql("UPDATE payment_attempts SET started_at = now() - interval '5 min'")

    scraped = looked(empty.run)

    assert scraped.value("c2a_open_money_attempts", outcome="open", currency="EUR") == 2
    held = empty.sql("SELECT sum(amount_minor) FROM payment_attempts")[0][0]
    assert scraped.value("c2a_open_money_minor", outcome="open", currency="EUR") == held > 0
    assert 300 <= scraped.value("c2a_open_money_oldest_seconds", outcome="open") < 330


def test_each_move_is_counted_once_however_often_upkeep_looks(empty: EngineRoom) -> None:
    snapshot = Snapshot()
    look = Look(empty.run, snapshot)
    look.look()
    for _ in range(3):
        empty.locked()

    def held() -> float:
        look.look()
        return told(snapshot).value("c2a_order_moves_total", event="offer_held", state="offer_locked")

    until(lambda: held() == 3, seconds=3 * gauges.LATE_S)
    assert held() == 3


def test_an_open_breaker_is_told_by_its_adapter(empty: EngineRoom) -> None:
    before = looked(empty.run)
    for_a_minute = replace(lanes.IMPATIENT, breaker_open_s=60.0)
    lanes.opens(lanes.turns_of(empty.run.vault.redis, for_a_minute), empty.lane)
    after = looked(empty.run)
    assert before.value("c2a_psp_breakers_open", adapter="sandbox") == 0
    assert after.value("c2a_psp_breakers_open", adapter="sandbox") == 1
    assert after.value("c2a_psp_accounts", adapter="sandbox") >= 1


def test_what_is_away_is_told_as_away_and_hides_nothing_else(settings: Settings, empty: EngineRoom) -> None:
    an_order(empty.owner, OrderState.ADMITTED)
    dead = {
        "postgres": {"database_url": SecretStr(f"postgresql://{NOWHERE}/c2a")},
        "broker": {"broker_url": SecretStr(f"redis://{NOWHERE}/0")},
        "vault": {"vault_url": SecretStr(f"redis://{NOWHERE}/0")},
    }
    for part, replaced in dead.items():
        run = build(settings.model_copy(update=replaced))
        scraped = looked(run)
        ups = {name: scraped.value("c2a_part_up", part=name) for name in ("postgres", "broker", "vault", "keys")}
        assert ups == dict.fromkeys(ups, 1) | {part: 0}
        assert (scraped.value("c2a_orders", kind="admitted") == 1) == (part != "postgres")
        run.engine.dispose()


def test_keys_that_are_away_are_told(empty: EngineRoom) -> None:
    ring = Keyring(SomeKms(is_away=True), b"p" * 32)
    scraped = looked(replace(empty.run, keyring=ring, vault=Vault(connect("redis://x"), ring, 1)))
    assert scraped.value("c2a_part_up", part="keys") == 0
    assert scraped.value("c2a_part_up", part="postgres") == 1


def test_findings_go_once_somebody_else_examines() -> None:
    snapshot = Snapshot()
    snapshot.found([("break", "one-capture"), ("break", "one-capture")])
    assert told(snapshot).value("c2a_findings", check="one-capture", severity="break") == 2
    snapshot.found([])
    assert told(snapshot).value("c2a_findings") == 0


def test_no_gauge_names_a_tenant_an_account_or_an_order(empty: EngineRoom) -> None:
    number = empty.locked()
    scraped = looked(empty.run)
    for name in (number, empty.account.tenant_id, empty.account.account_id, "cu.00.482"):
        assert name not in scraped.text
    labels = {label for _, labels in GAUGES.values() for label in labels} | set(MOVES[2])
    assert labels <= {"kind", "outcome", "currency", "adapter", "queue", "part", "severity", "check", "event", "state"}


def test_more_live_orders_than_are_counted_cost_no_more_and_say_the_most(
    empty: EngineRoom, say: Callable[[str], None]
) -> None:
    a_crowd(empty.owner, OrderState.ADMITTED, gauges.MOST + 100, age_s=60)
    began = time.monotonic()
    scraped = looked(empty.run)
    say(f"a look at {gauges.MOST} live orders: {1_000 * (time.monotonic() - began):.0f} ms")
    assert scraped.value("c2a_orders", kind="admitted") == gauges.MOST


def test_a_kind_that_empties_falls_to_zero_and_does_not_vanish(empty: EngineRoom) -> None:
    snapshot = Snapshot()
    look = Look(empty.run, snapshot)
    an_order(empty.owner, OrderState.ADMITTED)
    look.look()
    assert told(snapshot).value("c2a_orders", kind="admitted") == 1

    nobody(empty.owner)
    look.look()

    text = told(snapshot).text
    for name in ("c2a_orders", "c2a_orders_oldest_seconds"):
        assert f'\n{name}{{kind="admitted"}} 0.0\n' in text


def test_money_on_its_way_back_is_late_from_when_that_was_decided_and_not_once_its_psp_has_it_in_hand(
    empty: EngineRoom,
) -> None:
    for _ in range(2):
        empty.dies_while_charging(empty.locked(), after_the_charge=True)
    one, other = [number for (number,) in empty.sql("SELECT tracking_number FROM payment_attempts")]
    empty.sql(
        "UPDATE payment_attempts SET outcome = 'returning', due_at = now(), started_at = now() - interval '1 day',"
        " settled_at = now() - interval '20 s'"
    )
    empty.sql("UPDATE payment_attempts SET taken_at = now() WHERE tracking_number = :n", n=other)
    scraped = looked(empty.run)
    assert 20 <= scraped.value("c2a_open_money_oldest_seconds", outcome="returning") < 60
    assert scraped.value("c2a_open_money_attempts", outcome="taken") == 1
    assert one != other


def test_a_refund_under_way_is_open_money(empty: EngineRoom) -> None:
    empty.sql(
        "INSERT INTO refunds (tenant_id, action_id, tracking_number, attempt_no, amount_minor, currency, asked_at)"
        " VALUES (:tenant, gen_random_uuid(), 'trk_x', 1, 700, 'EUR', now() - interval '5 min')",
        tenant=empty.seller.shop.tenant_id,
    )
    scraped = looked(empty.run)
    empty.sql("DELETE FROM refunds WHERE tracking_number = 'trk_x'")
    assert scraped.value("c2a_open_money_minor", outcome="refunding", currency="EUR") == 700
    assert 300 <= scraped.value("c2a_open_money_oldest_seconds", outcome="refunding") < 330
