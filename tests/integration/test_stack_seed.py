"""The demo tenant's account follows the PSP that its stack runs."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine

from deploy.stack.home import Home
from deploy.stack.product import Wiring
from deploy.stack.psps import PSPS
from deploy.stack.seed import TENANT_ID, seed
from shared import keyring
from shared.store import accounts
from shared.store.engine import statements


def test_the_account_at_the_psp_that_runs_is_open_and_the_other_one_stays_in_reach(
    engine: Engine, tmp_path: Path
) -> None:
    home, ring = Home(tmp_path).make(), keyring.fresh()
    wiring = Wiring("", "", "", "", api_port=8080, psp_port=8090, keyring=tmp_path / "keyring.json")
    first = seed(home, engine, ring, wiring, PSPS["sandbox"])
    for name in ("stripe", "sandbox"):
        account = seed(home, engine, ring, wiring, PSPS[name]).account
        with statements(engine) as conn:
            assert [one.provider for one in accounts.for_tenant(conn, ring, TENANT_ID)] == [name]
            assert {provider for _, provider in accounts.names(conn, TENANT_ID)} == {"sandbox", "stripe"}
        assert account.adapter == name
        assert account.base_url == "http://127.0.0.1:8090"
    assert account == first.account  # With the credentials and the webhook address it had.
