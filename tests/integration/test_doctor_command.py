"""`c2a doctor` as an operator, or a script of theirs, uses it: what it prints and how it ends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from shared import keyring
from shared.cli.main import main
from shared.config import Settings
from shared.doctor import books, checks
from tests.support import engine_room
from tests.support.engine_room import EngineRoom
from tests.support.psp import Sandbox
from workers.pay import pay
from workers.tokenize import tokenize


@pytest.fixture
def room(
    settings: Settings, vault_url: str, shared_psp: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[EngineRoom]:
    """A tenant of this test's own with one done order, and the environment of whoever runs the command."""
    shared_psp.heal()
    with engine_room.opened(settings, vault_url, shared_psp, lease_s=1) as made:
        keyring.save(made.run.keyring, tmp_path / "keyring.json")
        monkeypatch.setenv("DATABASE_URL", settings.database_url.get_secret_value())
        monkeypatch.setenv("C2A_KEYRING", str(tmp_path / "keyring.json"))
        number = made.locked()
        assert pay(made.run, number)
        tokenize(made.run, number)
        yield made
    shared_psp.heal()


def doctor(room: EngineRoom, *arguments: str) -> Result:
    """Run the command for this test's tenant."""
    tenant = ("--tenant", str(room.seller.shop.tenant_id))
    return CliRunner().invoke(main, ["doctor", *tenant, *arguments], env={"COLUMNS": "160"})


def broken(result: Result) -> list[dict[str, Any]]:
    """The checks of the JSON document that found something."""
    return [check for check in json.loads(result.stdout)["checks"] if check["findings"]]


def test_open_money_is_shown_until_its_order_is_done(room: EngineRoom) -> None:
    assert "No open money." in doctor(room).output
    number = room.locked()
    room.dies_while_charging(number, after_the_charge=False)
    told, document = doctor(room), json.loads(doctor(room, "--json").stdout)
    assert "Open money: 1 attempts, 1499 EUR" in told.output
    assert number in told.output
    [out] = document["openMoney"]
    assert (out["trackingNumber"], out["attemptState"], out["orderState"]) == (number, "open", "paying")
    assert (out["amountMinor"], out["currency"]) == (1499, "EUR")
    assert told.exit_code == 0, "somebody looks after it"


def test_where_everything_holds_it_says_so_and_ends_with_0(room: EngineRoom) -> None:
    told = doctor(room)
    assert told.exit_code == 0, told.output
    lines = {tuple(line.split(maxsplit=2)) for line in told.output.splitlines()}
    assert {("holds", check.name, check.promise) for check in (*checks.CHECKS, *books.CHECKS)} <= lines
    assert broken(doctor(room, "--json")) == []


def test_a_broken_promise_ends_with_3_and_says_what_to_do_next(room: EngineRoom) -> None:
    [(number,)] = room.sql("SELECT tracking_number FROM orders WHERE tenant_id = :t", t=room.seller.shop.tenant_id)
    room.sql("UPDATE payment_attempts SET outcome = 'returned' WHERE tracking_number = :n", n=number)
    told = doctor(room)
    assert told.exit_code == 3
    assert f"{number}  0 captured" in told.output
    assert f"Next: {checks.DONE_IS_PAID.next_step}" in told.output
    as_json = doctor(room, "--json")
    assert as_json.exit_code == 3
    [check] = [one for one in broken(as_json) if one["name"] == checks.DONE_IS_PAID.name]
    assert check["severity"] == "break"
    assert check["nextStep"] == checks.DONE_IS_PAID.next_step
    assert [one["subject"] for one in check["findings"]] == [number]


def test_books_that_could_not_be_read_end_with_4(room: EngineRoom, shared_psp: Sandbox) -> None:
    shared_psp.set_faults(down="closed")
    told = doctor(room)
    assert told.exit_code == 4
    assert books.NOT_ASKED.name in told.output


def test_without_a_database_or_keys_it_ends_with_1(room: EngineRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("C2A_KEYRING", "/nowhere/keyring.json")
    assert (doctor(room).exit_code, "C2A_KEYRING" in doctor(room).output) == (1, True)
    monkeypatch.delenv("C2A_KEYRING")
    monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1:9/none")
    told = doctor(room)
    assert told.exit_code == 1
    assert "PostgreSQL does not answer" in told.output


@pytest.mark.parametrize("wrong", [["--window", "0"], ["--window", "soon"], ["--tenent", "x"]])
def test_called_wrongly_it_ends_with_2(room: EngineRoom, wrong: list[str]) -> None:
    assert doctor(room, *wrong).exit_code == 2


def test_the_help_names_every_exit_code() -> None:
    told = CliRunner().invoke(main, ["doctor", "--help"]).output
    assert [line.split()[0] for line in told.splitlines() if line.split()[:1] and line.split()[0].isdigit()] == list(
        "01234"
    )


def test_orders_before_the_window_are_left_alone(room: EngineRoom) -> None:
    tenant = room.seller.shop.tenant_id
    old = "trk_01HZ9XPZ3K2A8E0VBVQH7N9XGB"  # Minted in 2024.
    room.sql(
        "UPDATE payment_attempts SET tracking_number = :o, outcome = 'returned' WHERE tenant_id = :t", o=old, t=tenant
    )
    room.sql("UPDATE orders SET tracking_number = :o WHERE tenant_id = :t", o=old, t=tenant)
    room.sql("UPDATE offer_holds SET tracking_number = :o WHERE tenant_id = :t", o=old, t=tenant)
    room.sql("UPDATE idempotency_keys SET tracking_number = :o WHERE tenant_id = :t", o=old, t=tenant)
    names = {check["name"] for check in broken(doctor(room, "--json"))}
    assert checks.DONE_IS_PAID.name not in names
