"""The demo tenant's account follows the PSP that its stack runs."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine

from deploy.stack import shop_page
from deploy.stack.home import Home
from deploy.stack.product import Wiring
from deploy.stack.psps import PSPS
from deploy.stack.seed import TENANT_ID, seed
from shared import keyring
from shared.store import accounts, keys, tenants
from shared.store.engine import statements
from shared.store.keys import KeyRole


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


def test_the_shop_page_has_a_tenant_of_its_own_whose_shoppers_come_back_to_it_whatever_the_port(
    engine: Engine, tmp_path: Path
) -> None:
    home, ring = Home(tmp_path).make(), keyring.fresh()
    made = []
    for port in (8080, 8081):
        wiring = Wiring("", "", "", "", api_port=port, psp_port=8090, keyring=tmp_path / "keyring.json")
        page = shop_page.opened(home, engine, ring, wiring, PSPS["sandbox"])
        assert page is not None
        assert page.url == f"http://127.0.0.1:{port}/demo"
        with statements(engine) as conn:
            tenant = tenants.get(conn, shop_page.TENANT_ID)
            roles = [getattr(keys.find(conn, key), "role", None) for key in page.settings.values()]
        assert tenant is not None
        assert tenant.settings.return_url == f"{page.url}/return"
        assert roles == [KeyRole.STOREFRONT, KeyRole.READ_ONLY]
        made.append((page.account, page.settings))
    assert made[0] == made[1]  # The keys, and the account's credentials, it had.
    assert shop_page.TENANT_ID != TENANT_ID


def test_where_the_psp_is_no_sandbox_there_is_no_shop_page(engine: Engine, tmp_path: Path) -> None:
    wiring = Wiring("", "", "", "", api_port=8080, psp_port=8090, keyring=tmp_path / "keyring.json")
    assert shop_page.opened(Home(tmp_path).make(), engine, keyring.fresh(), wiring, PSPS["stripe"]) is None
