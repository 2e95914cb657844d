"""`c2a orders retry`, `unpark` and `cancel`: they do it, say what came of it, and need neither broker nor vault."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.domain.states import OrderState
from tests.support.acting import challenged, paid
from tests.support.engine_room import EngineRoom
from tests.support.operating import at_a_shell, c2a, said
from tests.support.psp import Sandbox
from workers.look_up import look_up
from workers.pay import pay
from workers.return_money import return_money


@pytest.fixture
def shell(room: EngineRoom, tmp_path: Path) -> Iterator[None]:
    with at_a_shell(room, tmp_path):
        yield


@pytest.mark.usefixtures("shell")
def test_the_commands_do_it_and_say_what_came_of_it(room: EngineRoom) -> None:
    number = paid(room)
    by = ("--why", "ticket 4711", "--who", "Ben")
    told = c2a("orders", "unpark", number, *by)
    assert (told.exit_code, "it is not parked" in told.output) == (1, True)
    action_id = uuid.uuid4()
    for _ in range(2):
        document = said("orders", "cancel", number, *by, "--id", action_id)
        assert (document["outcome"], document["who"], document["why"]) == ("begun", "Ben", "ticket 4711")
    assert said("orders", "retry", number, *by)["outcome"] == "done"
    story: dict[str, Any] = said("orders", "show", number)
    assert [one["outcome"] for one in story["actions"]] == ["refused", "begun", "done"]
    assert {one["action"]: one["allowed"] for one in story["allowed"]}["retry"]
    explained = c2a("orders", "explain", number).output
    assert "Ben asked to cancel: ticket 4711." in explained
    assert "not cancel: it is being cancelled already" in explained
    return_money(room.run, number)
    assert "failed" in c2a("orders", "explain", number).output
    assert c2a("orders", "retry", number, "--why", "x", "--id", action_id).exit_code == 1


@pytest.mark.usefixtures("shell")
def test_a_command_called_wrongly_changes_nothing(room: EngineRoom) -> None:
    number = room.locked()
    for wrong in ([], ["--why", " "], ["--why", "x", "--who", ""], ["--why", "x", "--id", "1"]):
        assert c2a("orders", "cancel", number, *wrong).exit_code == 2
    assert c2a("orders", "cancel", "trk_none", "--why", "x").exit_code == 1
    assert room.state(number) is OrderState.OFFER_LOCKED


@pytest.mark.usefixtures("shell")
def test_without_a_broker_or_a_vault_an_action_is_done_all_the_same(
    room: EngineRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = room.locked()
    monkeypatch.setenv("BROKER_URL", "redis://127.0.0.1:9/0")
    monkeypatch.setenv("VAULT_URL", "redis://127.0.0.1:9/0")
    assert said("orders", "cancel", number, "--why", "x")["outcome"] == "done"
    assert room.state(number) is OrderState.FAILED


def test_every_action_has_an_example_and_its_exit_codes() -> None:
    for command in ("retry", "unpark", "cancel"):
        told = c2a("orders", command, "--help").output
        assert "Exit codes" in told
        assert f"c2a orders {command} trk_" in told


@pytest.mark.usefixtures("shell")
def test_a_stuck_order_is_found_understood_and_ended_by_the_commands_alone(
    room: EngineRoom, shared_psp: Sandbox
) -> None:
    """The section of the README, walked through: its PSP took the money and told nobody, and its look-ups are lost."""
    number = room.locked()
    shared_psp.set_faults(next=[{"kind": "http500After", "on": "charge"}])
    pay(room.run, number)
    room.sql(
        "UPDATE orders SET due_at = now() + interval '5 min', changed_at = now() - interval '20 min'"
        " WHERE tracking_number = :n",
        n=number,
    )
    assert number in [one["trackingNumber"] for one in said("orders", "list", "--stuck")["orders"]]
    why = c2a("orders", "explain", number).output
    assert "Nobody told us whether sandbox took the money" in why
    assert "not cancel: nobody knows yet" in why
    assert said("orders", "retry", number, "--why", "stuck")["outcome"] == "done"
    look_up(room.run, number)  # What the ring brings.
    assert "Yes: 1499 EUR (minor units) at sandbox, attempt 1 was captured." in c2a("orders", "explain", number).output
    assert said("orders", "cancel", number, "--why", "the shopper gave up")["outcome"] == "begun"
    return_money(room.run, number)
    told = c2a("orders", "explain", number).output
    assert "It failed: CANCELLED." in told
    assert "Not any more: the PSP holds nothing" in told
    assert number not in [one["trackingNumber"] for one in said("orders", "list", "--stuck")["orders"]]
    assert said("orders", "replay", number)["differences"] == []


@pytest.mark.usefixtures("shell")
def test_of_a_challenge_that_was_called_off_nobody_is_told_that_it_is_in_doubt(room: EngineRoom) -> None:
    number = challenged(room)
    assert said("orders", "cancel", number, "--why", "the shopper called")["outcome"] == "begun"
    told = c2a("orders", "explain", number).output
    assert "It was called off at sandbox, attempt 1: the PSP is asked to give up" in told
    assert "Nobody told us" not in told
