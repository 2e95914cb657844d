"""`deploy/up --psp stripe`: the published examples, paid by the Stripe adapter at localstripe."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
import pytest

from deploy.stack import options, ports
from deploy.stack.home import ROOT, Home
from deploy.stack.psps import PSPS
from tests.support import stack as stacks
from tests.support.stack import Stack


@pytest.fixture(scope="module")
def stripe_stack() -> Iterator[Stack]:
    """A stack whose PSP is localstripe, both demo orders placed."""
    with stacks.folder() as home:
        try:
            port = str(ports.kept(Home(home), "api"))
            done = stacks.command("up", home, "--detach", "--port", port, "--psp", "stripe")
            assert done.returncode == 0, done.stdout
            assert done.stdout.count(": DONE") == 2, done.stdout
            yield Stack(home)
        finally:
            stacks.down(home)


def _asked(stack: Stack, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(stack.postgres_dsn) as conn:
        return conn.execute(statement.encode()).fetchall()


def _intents(stack: Stack) -> list[dict[str, Any]]:
    answer = httpx.get(f"{stack.psp_url}/v1/payment_intents", auth=("sk_test_anybody", ""), trust_env=False)
    found: list[dict[str, Any]] = answer.raise_for_status().json()["data"]
    return found


def test_both_published_ways_to_pay_reach_done_through_the_stripe_adapter(stripe_stack: Stack) -> None:
    attempts = _asked(stripe_stack, "SELECT provider, outcome, psp_reference, amount_minor FROM payment_attempts")
    intents = _intents(stripe_stack)
    assert [(provider, outcome) for provider, outcome, *_ in attempts] == [("stripe", "captured")] * 2
    assert {(row[2], row[3]) for row in attempts} == {(one["id"], one["amount"]) for one in intents}
    assert {one["status"] for one in intents} == {"succeeded"}


def test_there_is_no_shop_page_where_money_might_move(stripe_stack: Stack) -> None:
    assert "shopUrl" not in stripe_stack.document()
    assert httpx.get(f"{stripe_stack.base_url}/demo", trust_env=False).status_code == 404


def test_the_second_order_paid_with_what_the_first_one_kept(stripe_stack: Stack) -> None:
    fresh, stored = sorted(_intents(stripe_stack), key=lambda one: int(one["created"]))
    assert stored["customer"] == fresh["customer"] is not None
    assert stored["payment_method"] == fresh["payment_method"]
    ((mask,),) = _asked(stripe_stack, "SELECT masked_number FROM stored_methods")
    assert mask == "411111******1111"


def test_its_books_agree_with_ours(stripe_stack: Stack) -> None:
    """Read through the adapter, as the upkeep worker does: every charge there belongs to an attempt of ours."""
    settings = {
        "DATABASE_URL": stripe_stack.postgres_dsn,
        "VAULT_URL": str(stripe_stack.document()["vaultUrl"]),
        "C2A_KEYRING": str(stripe_stack.home / "keyring.json"),
    }
    command = "from shared.cli.main import main; main(['doctor'])"
    done = subprocess.run(
        [sys.executable, "-c", command],
        cwd=ROOT,
        env=stacks.environment(settings),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_can_be_asked_for_is_what_there_is() -> None:
    assert tuple(PSPS) == options.PSPS
