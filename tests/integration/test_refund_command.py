"""`c2a orders refund` as an operator uses it: it says how much, and the order's story tells what came of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.engine_room import EngineRoom
from tests.support.operating import at_a_shell, c2a, said
from tests.support.refunding import done
from workers.return_money import return_money


@pytest.fixture
def shell(room: EngineRoom, tmp_path: Path) -> Iterator[None]:
    with at_a_shell(room, tmp_path):
        yield


@pytest.mark.usefixtures("shell")
def test_the_command_refunds_and_the_story_tells_it(room: EngineRoom) -> None:
    number = done(room)
    assert said("orders", "refund", number, "--amount", 500, "--why", "one came broken")["outcome"] == "begun"
    assert "A refund of 500 EUR (minor units) is on its way" in c2a("orders", "explain", number).output
    return_money(room.run, number)
    told = c2a("orders", "explain", number).output
    for sentence in ("The refund of 500 EUR (minor units) went back", "500 EUR (minor units) of it went back"):
        assert sentence in told
    [one] = said("orders", "show", number)["refunds"]
    assert (one["amountMinor"], one["state"]) == (500, "given")
    assert c2a("orders", "refund", number, "--amount", 1000, "--why", "x").exit_code == 1
    assert said("orders", "refund", number, "--full", "--why", "withdrawn")["told"].startswith("999 EUR")


def test_a_refund_says_how_much(room: EngineRoom) -> None:
    for wrong in ([], ["--full", "--amount", "5"], ["--amount", "0"], ["--amount", "-5"], ["--amount", "1.5"]):
        assert c2a("orders", "refund", "trk_none", "--why", "x", *wrong).exit_code == 2
    told = c2a("orders", "refund", "--help").output
    assert "Exit codes" in told
    assert "c2a orders refund trk_" in told
