"""`c2a psps explain`: why an order went to the PSP it went to, as it stood then and as it would be now."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from shared import keyring
from shared.cli.main import main
from shared.psp.port import AccountTerms
from shared.psp.router import Why
from shared.psp.scores import WEIGHTS
from tests.support.two_psps import FIRST, SECOND, TwoPsps
from tests.support.wire import fresh_card
from workers.pay import pay


@pytest.fixture
def shop(both: TwoPsps, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TwoPsps:
    """A tenant with two PSPs, and the environment of whoever explains its orders."""
    keyring.save(both.room.run.keyring, tmp_path / "keyring.json")
    monkeypatch.setenv("DATABASE_URL", both.room.run.settings.database_url.get_secret_value())
    monkeypatch.setenv("VAULT_URL", both.room.run.settings.vault_url.get_secret_value())
    monkeypatch.setenv("C2A_KEYRING", str(tmp_path / "keyring.json"))
    return both


def test_while_nobody_knows_how_accounts_did_a_script_still_reads_json_alone(
    shop: TwoPsps, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = shop.room.locked()
    monkeypatch.setenv("VAULT_URL", "redis://127.0.0.1:1/0")  # Nobody listens there.
    c2a = [sys.executable, "-c", "from shared.cli.main import run; run()"]  # As pyproject.toml names it.
    command = [*c2a, "psps", "explain", "--order", number, "--json"]

    told = subprocess.run(command, capture_output=True, check=True, timeout=60)

    assert json.loads(told.stdout)["now"]["chosen"]
    assert b"psp.record_not_read" in told.stderr


def explained(number: str) -> tuple[dict[str, Any], str]:
    """The story of an order, for a script and for people."""
    document, text = (
        CliRunner().invoke(main, ["psps", "explain", "--order", number, *more], env={"COLUMNS": "200"})
        for more in (["--json"], [])
    )
    assert (document.exit_code, text.exit_code) == (0, 0), document.output + text.output
    return json.loads(document.stdout), text.stdout


def test_the_story_of_an_order_tells_who_was_asked_and_why_as_it_stood(shop: TwoPsps) -> None:
    shop.sandboxes[FIRST].set_faults(next=[{"kind": "declineSoft"}])
    number = shop.room.locked()
    pay(shop.room.run, number)
    shop.keep(FIRST, terms=AccountTerms(fee_bps=900))  # Later, so it changes nothing of what is told.

    story, text = explained(number)

    first, second = story["attempts"]
    assert (first["provider"], first["outcome"], first["reason"]) == (FIRST, "declined", "do_not_honor")
    assert (second["provider"], second["outcome"]) == (SECOND, "captured")
    assert [one["fee"] for one in first["route"]["ranked"]] == [1.0, 1.0]
    assert second["route"]["leftOut"] == [{"provider": FIRST, "why": Why.TRIED.value}]
    assert (story["now"]["chosen"], story["now"]["for"]) == (SECOND, "a new order like it")
    assert f"Attempt 1 at {FIRST}: declined: do_not_honor" in text
    assert f"{FIRST} was left out: {Why.TRIED.value}" in text
    assert f"Now the router would choose {SECOND} for a new order like it" in text
    assert all(f"{weight:.2f} " in text for weight in WEIGHTS.values())


def test_an_order_that_waits_shows_what_it_would_do_next(shop: TwoPsps) -> None:
    shop.keep(SECOND, base_url="http://127.0.0.1:9")
    number = shop.room.locked(fresh_card("4000007700000018"))
    pay(shop.room.run, number)

    story, _ = explained(number)

    assert (story["state"], [one["outcome"] for one in story["attempts"]]) == ("offer_locked", ["declined", "absent"])
    assert (story["now"]["chosen"], story["now"]["for"]) == (SECOND, "this order")


def test_an_order_nobody_was_asked_about_says_so(shop: TwoPsps) -> None:
    story, text = explained(shop.room.admitted())

    assert (story["attempts"], story["now"]) == ([], None)
    assert "nobody was asked" in text


def test_a_forced_order_says_that_nobody_else_is_asked(shop: TwoPsps) -> None:
    story, text = explained(shop.room.locked(fresh_card(providerIdentifier=SECOND)))

    assert story["now"]["chosen"] == SECOND
    assert "nobody else is asked" in text


def test_an_order_that_is_not_there_is_told(shop: TwoPsps) -> None:
    result = CliRunner().invoke(main, ["psps", "explain", "--order", "trk_none"])

    assert result.exit_code == 1
    assert "--order: there is no such order" in result.stderr
