"""`c2a orders` for reading: an order is found by every name it has, and its story is told as it was."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_hex
from typing import Any, Final

import pytest
from sqlalchemy import text

from shared.domain.outcomes import Captured
from shared.domain.states import OrderState
from shared.operate.search import search
from shared.store.order_search import Wanted
from tests.support.engine_room import EngineRoom
from tests.support.operating import at_a_shell, c2a, refused, said
from tests.support.psp import Sandbox
from workers.look_up import look_up
from workers.pay import pay
from workers.tokenize import tokenize


@pytest.fixture(autouse=True)
def _shell(room: EngineRoom, tmp_path: Path) -> Iterator[None]:
    with at_a_shell(room, tmp_path):
        yield


def done(room: EngineRoom, **more: Any) -> str:
    number = room.locked(**more)
    assert pay(room.run, number)
    tokenize(room.run, number)
    return number


def numbers(*arguments: object) -> list[str]:
    """The tracking numbers of a list."""
    return [one["trackingNumber"] for one in said("orders", "list", *arguments)["orders"]]


def test_an_order_is_found_by_every_name_it_has(room: EngineRoom) -> None:
    correlation = f"order-{token_hex(6)}"
    number = done(room, correlationId=correlation)
    tenant = ("--tenant", room.seller.shop.tenant_id)
    for names in (
        ("--number", number),
        ("--correlation", correlation),
        ("--psp-reference", room.attempt(number).psp_reference),
    ):
        assert numbers(*names) == [number]
        assert numbers(*names, *tenant) == [number]
    assert number in numbers("--customer", "cu.00.482", *tenant)
    assert number in numbers("--state", "done", "--last", 5)
    for names in (("--number", "trk_none"), ("--correlation", "none"), ("--psp-reference", "none")):
        assert numbers(*names) == []
    assert numbers("--number", number, "--state", "failed") == []


def test_another_tenants_orders_are_not_in_a_tenants_list(room: EngineRoom) -> None:
    number = room.locked()
    nobody = "00000000-0000-4000-8000-000000000000"
    assert numbers("--number", number, "--tenant", nobody) == []
    assert numbers("--customer", "cu.00.482", "--tenant", nobody) == []


def test_a_list_goes_on_where_the_last_page_ended(room: EngineRoom) -> None:
    made = sorted((room.admitted() for _ in range(5)), reverse=True)
    tenant = ("--tenant", room.seller.shop.tenant_id, "--last", 5)
    seen: list[str] = []
    page = said("orders", "list", *tenant, "--limit", 2)
    while page["next"]:
        seen += [one["trackingNumber"] for one in page["orders"]]
        page = said("orders", "list", *tenant, "--limit", 2, "--before", page["next"])
    seen += [one["trackingNumber"] for one in page["orders"]]
    assert seen[:5] == made
    assert len(seen) == len(set(seen)) == len(numbers(*tenant, "--limit", 200))
    assert f"--before {made[1]}" in c2a("orders", "list", *tenant, "--limit", 2).output


def test_a_stuck_order_is_listed_and_one_that_waits_its_time_is_not(room: EngineRoom) -> None:
    fine, late, parked, old = (room.locked() for _ in range(4))
    room.sql("UPDATE orders SET due_at = now() - interval '2 min' WHERE tracking_number = :n", n=late)
    room.sql("UPDATE orders SET parked = true WHERE tracking_number = :n", n=parked)
    room.sql("UPDATE orders SET changed_at = now() - interval '16 min' WHERE tracking_number = :n", n=old)
    found = set(numbers("--stuck"))
    assert {late, parked, old} <= found
    assert fine not in found
    room.sql("UPDATE orders SET deadline_at = now() + interval '1 h' WHERE tracking_number = :n", n=old)
    assert old not in numbers("--stuck"), "it has a time of its own"


def test_without_a_name_the_last_day_is_listed_and_it_says_so(room: EngineRoom) -> None:
    ancient = "trk_01HZ9XPZ3K2A8E0VBVQH7N9XGB"
    number = done(room)
    for table in ("orders", "order_events", "payment_attempts"):
        room.sql(f"UPDATE {table} SET tracking_number = :o WHERE tracking_number = :n", o=ancient, n=number)
    assert ancient not in numbers("--state", "done")
    assert ancient in numbers("--state", "done", "--since", "2024-01-01", "--until", "2024-12-31")
    told = c2a("orders", "list", "--state", "failed", "--tenant", "00000000-0000-4000-8000-000000000000")
    assert "in the last 24 hours" in told.output
    for table in ("orders", "order_events", "payment_attempts"):
        room.sql(f"DELETE FROM {table} WHERE tracking_number = :o", o=ancient)


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted(tracking_number="trk_1"),
        Wanted(correlation_id="c"),
        Wanted(customer_urn="cu.1"),
        Wanted(psp_reference="sb_1"),
        Wanted(stuck=True),
        Wanted(states=frozenset({OrderState.CONFIRMING})),
        Wanted(states=frozenset({OrderState.FAILED})),
        Wanted(since=datetime.now(UTC) - timedelta(hours=1)),
    ],
    ids=["number", "correlation", "customer", "reference", "stuck", "live", "failed", "time"],
)
def test_no_search_reads_a_whole_table(room: EngineRoom, wanted: Wanted) -> None:
    """Where an index serves, PostgreSQL walks none of the two great tables from end to end."""
    told: list[str] = []
    with room.owner.connect() as conn, conn.begin():
        conn.execute(text("SET LOCAL enable_seqscan = off"))
        conn.execute(text("SET LOCAL enable_bitmapscan = off"))

        class Explaining:
            """Asks how, and not what."""

            def execute(self, query: object) -> list[object]:
                compiled = query.compile(conn, compile_kwargs={"render_postcompile": True})  # type: ignore[attr-defined]
                cursor = conn.exec_driver_sql("EXPLAIN " + str(compiled), compiled.params)
                told.extend(row[0] for row in cursor)
                return []

        search(Explaining(), wanted, now=datetime.now(UTC))  # type: ignore[arg-type]
    plan = "\n".join(told)
    assert "Index" in plan
    for table in ("orders", "payment_attempts"):
        assert f"Seq Scan on {table}" not in plan, plan
    walks = [line for line in told if "using orders_pkey" in line]
    assert not walks or "Index Cond" in plan, plan


def test_the_whole_story_of_an_order_is_shown(room: EngineRoom) -> None:
    number = done(room)
    told = said("orders", "show", number)
    assert (told["state"], told["version"], told["offerHeldBy"]) == ("done", 5, number)
    assert [one["event"] for one in told["moves"]] == room.events(number)
    [attempt] = told["attempts"]
    assert attempt["outcome"] == "captured"
    assert attempt["pspReference"] == room.attempt(number).psp_reference
    assert attempt["route"]["ranked"][0]["provider"] == "sandbox"
    assert (told["webhooks"], told["actions"], told["lease"]) == ([], [], None)
    for word in (number, "captured", "no webhooks", "offer_held"):
        assert word in c2a("orders", "show", number).output


def test_a_webhook_that_told_of_its_charge_is_part_of_the_story(room: EngineRoom) -> None:
    number = done(room)
    attempt = room.attempt(number)
    assert attempt.psp_reference is not None
    room.sql(
        "INSERT INTO psp_events (tenant_id, provider, event_id, kind, psp_reference, settled_at)"
        " VALUES (:t, 'sandbox', :e, 'charge', :r, now()), (:t, 'sandbox', :p, 'charge', 'other', now())",
        t=attempt.tenant_id,
        e=f"evt_{number}",
        p=f"evt_other_{number}",
        r=attempt.psp_reference,
    )
    [told] = said("orders", "show", number)["webhooks"]
    assert (told["eventId"], told["told"]) == (f"evt_{number}", None)
    assert f"evt_{number}" in c2a("orders", "explain", number).output


def test_an_order_nobody_answered_for_is_explained(room: EngineRoom, shared_psp: Sandbox) -> None:
    number = room.locked()
    shared_psp.set_faults(next=[{"kind": "http500After", "on": "charge"}])
    pay(room.run, number)
    told = said("orders", "explain", number)
    assert told["state"] == "confirming"
    assert any("Nobody told us whether sandbox took the money" in one for one in told["now"])
    assert told["money"] == ["Unknown: 1499 EUR (minor units) at sandbox, attempt 1 was asked for, and nobody told us."]
    assert "Nothing is charged a second time" in told["next"]
    look_up(room.run, number)
    tokenize(room.run, number)
    told = said("orders", "explain", number)
    assert told["money"] == ["Yes: 1499 EUR (minor units) at sandbox, attempt 1 was captured."]
    assert told["happened"][0]["text"].startswith("The order was accepted.")
    assert "Its offer was held" in c2a("orders", "explain", number).output


def test_an_order_in_a_workers_hands_says_until_when(room: EngineRoom) -> None:
    number = room.locked()
    room.dies_while_charging(number, after_the_charge=False)
    room.lease_ends_in(number, timedelta(minutes=1))
    told = said("orders", "explain", number)
    assert "is taking its payment; its lease ends at" in told["now"][0]
    room.lease_ends_in(number, timedelta(0))
    assert "another one takes over" in said("orders", "explain", number)["now"][0]


def test_a_parked_order_and_one_nobody_comes_for_say_so(room: EngineRoom) -> None:
    number = room.locked()
    room.sql("UPDATE orders SET parked = true, crashes = 5, rings = 4 WHERE tracking_number = :n", n=number)
    assert "It is cancelled at the next look" in said("orders", "explain", number)["next"]
    told = " ".join(said("orders", "explain", number)["now"])
    assert "It is parked: 5 workers died over it" in told
    assert "see that workers of the queue payment run" in told


def test_the_recorded_moves_of_an_order_are_todays(room: EngineRoom) -> None:
    number = done(room)
    assert said("orders", "replay", number)["differences"] == []
    assert "1 order: every move is as today's state machine makes it." in c2a("orders", "replay", number).output


def test_every_order_of_a_time_is_replayed(room: EngineRoom) -> None:
    for _ in range(3):
        done(room)
    [(count,)] = room.sql("SELECT count(*) FROM orders WHERE admitted_at > now() - interval '5 min'")
    result = c2a("orders", "replay", "--last", 5, "--json")
    assert json.loads(result.stdout.splitlines()[-1])["orders"] == count
    number = done(room)
    room.sql("UPDATE order_events SET state = 'challenge' WHERE tracking_number = :n AND version = 3", n=number)
    result = c2a("orders", "replay", "--last", 5, "--json")
    assert result.exit_code == 1
    assert number in {one["order"] for one in json.loads(result.stdout.splitlines()[-1])["differences"]}


def test_a_replay_names_one_order_or_a_time() -> None:
    assert c2a("orders", "replay").exit_code == 2
    assert c2a("orders", "replay", "trk_none", "--last", 5).exit_code == 2


@pytest.mark.parametrize(
    ("spoils", "version"),
    [
        ("UPDATE order_events SET state = 'challenge' WHERE tracking_number = :n AND version = 3", 3),
        ("UPDATE order_events SET event = 'cancelled' WHERE tracking_number = :n AND version = 4", 4),
        ("UPDATE order_events SET event = 'of_another_age' WHERE tracking_number = :n AND version = 2", 2),
        ("DELETE FROM order_events WHERE tracking_number = :n AND version = 2", 3),
        ("UPDATE orders SET version = 9 WHERE tracking_number = :n", 9),
    ],
)
def test_a_record_that_todays_machine_would_not_make_is_told_and_ends_with_1(
    room: EngineRoom, spoils: str, version: int
) -> None:
    number = done(room)
    room.sql(spoils, n=number)
    result = c2a("orders", "replay", number, "--json")
    assert result.exit_code == 1
    assert version in [one["version"] for one in json.loads(result.stdout)["differences"]]
    room.sql("DELETE FROM order_events WHERE tracking_number = :n", n=number)
    room.sql("DELETE FROM orders WHERE tracking_number = :n", n=number)


def test_an_order_that_is_not_there_ends_with_1(room: EngineRoom) -> None:
    for command in ("show", "explain", "replay"):
        assert "there is no such order" in refused("orders", command, "trk_none")


def test_called_wrongly_it_ends_with_2() -> None:
    for wrong in (
        ["list", "--state", "lost"],
        ["list", "--limit", "0"],
        ["list", "--last", "5", "--since", "2026-01-01"],
    ):
        assert c2a("orders", *wrong).exit_code == 2


def test_every_command_has_an_example_and_its_exit_codes() -> None:
    for command in ("list", "show", "explain", "replay"):
        told = c2a("orders", command, "--help").output
        assert "Exit codes" in told
        assert f"c2a orders {command}" in told


def test_foreign_text_moves_no_cursor(room: EngineRoom) -> None:
    number = done(room)
    attempt = room.attempt(number)
    room.tell(attempt, Captured("sb_\x1b[2J", attempt.money))
    for command in ("show", "explain"):
        assert "\x1b[2J" not in c2a("orders", command, number).output


RESUMED: Final = 2_500
"""More moves than are shown of one order."""


def resumed_often(room: EngineRoom) -> str:
    """An order whose payment was taken over again and again, and whose record is one the table could have made."""
    number = room.locked()
    held = room.order(number).version
    room.sql(
        "INSERT INTO order_events (tenant_id, tracking_number, version, event, state, actor)"
        " SELECT tenant_id, tracking_number, :held + n,"
        "        CASE n WHEN 1 THEN 'payment_started' ELSE 'payment_resumed' END, 'paying', 'pay'"
        " FROM orders, generate_series(1, :times) AS n WHERE tracking_number = :n",
        n=number,
        held=held,
        times=RESUMED,
    )
    room.sql(
        "UPDATE orders SET state = 'paying', version = :v, due_at = now() + interval '1 h' WHERE tracking_number = :n",
        n=number,
        v=held + RESUMED,
    )
    return number


def test_an_order_of_very_many_moves_is_replayed_to_its_end(room: EngineRoom) -> None:
    number = resumed_often(room)
    assert said("orders", "replay", number) == {"orders": 1, "differences": []}
    room.sql("DELETE FROM order_events WHERE tracking_number = :n AND version = 2222", n=number)
    told = json.loads(c2a("orders", "replay", number, "--json").stdout)
    assert [one["today"] for one in told["differences"]] == ["version 2222 is missing before it"]


def test_of_very_many_moves_the_latest_are_shown_and_the_rest_is_said_to_be_left_out(room: EngineRoom) -> None:
    number = resumed_often(room)
    told = said("orders", "show", number)
    assert told["moves"][-1]["version"] == told["version"]
    assert told["movesBefore"] == told["version"] - len(told["moves"]) > 0
    left_out = f"{told['movesBefore']} moves before this one are not shown."
    assert [one["text"] for one in said("orders", "explain", number)["happened"]].count(left_out) == 1
    assert said("orders", "show", done(room))["movesBefore"] == 0
