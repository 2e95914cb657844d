"""Who may call and which PSP accounts they have, on a real PostgreSQL."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, select, text

from shared import keyring
from shared.keyring import CannotOpen
from shared.psp.port import Account, AccountTerms, Channel
from shared.store import accounts, keys, tables, tenants
from shared.store.keys import KeyRole
from shared.store.tenants import Tenant, TenantSettings

RING = keyring.fresh()


@pytest.fixture
def tenant_id(engine: Engine) -> uuid.UUID:
    """A tenant of this test's own."""
    tenant = Tenant(uuid.uuid4(), "A shop", TenantSettings())
    with engine.begin() as conn:
        tenants.save(conn, tenant)
    return tenant.tenant_id


def an_account(tenant_id: uuid.UUID, **replaced: Any) -> Account:
    """An account with a credential nobody else has."""
    values: dict[str, Any] = {
        "tenant_id": str(tenant_id),
        "provider": "sandbox",
        "account_id": f"acc_{uuid.uuid4().hex}",
        "adapter": "sandbox",
        "base_url": "http://127.0.0.1:1",
        "channels": frozenset({Channel.CREDIT_CARD, Channel.PAYPAL}),
        "credentials": {"apiKey": "zq7credential"},
    }
    return Account(**(values | replaced))


def test_a_tenant_keeps_its_settings_and_its_last_name(engine: Engine) -> None:
    tenant = Tenant(uuid.uuid4(), "Before", TenantSettings())
    after = Tenant(tenant.tenant_id, "After", TenantSettings(offer_life_s=60, single_use_offers=False))
    with engine.begin() as conn:
        tenants.save(conn, tenant)
        tenants.save(conn, after)

        assert tenants.get(conn, tenant.tenant_id) == after
        assert tenants.get(conn, uuid.uuid4()) is None


def test_a_setting_of_a_later_release_does_not_stop_this_one(engine: Engine, tenant_id: uuid.UUID) -> None:
    with engine.begin() as conn:
        conn.execute(
            tables.tenants.update()
            .where(tables.tenants.c.tenant_id == tenant_id)
            .values(settings={"offer_life_s": 5, "new_in_2.0": True})
        )
        found = tenants.get(conn, tenant_id)

    assert found is not None
    assert found.settings.offer_life_s == 5


@pytest.mark.parametrize(
    ("role", "live", "prefix"),
    [
        (KeyRole.STOREFRONT, False, "sk_dev_"),
        (KeyRole.STOREFRONT, True, "sk_live_"),
        (KeyRole.OPERATOR, True, "sk_live_"),
        (KeyRole.READ_ONLY, False, "pk_dev_"),
        (KeyRole.READ_ONLY, True, "pk_live_"),
    ],
)
def test_a_key_says_what_it_is_and_finds_its_tenant(
    engine: Engine, tenant_id: uuid.UUID, role: KeyRole, live: bool, prefix: str
) -> None:
    with engine.begin() as conn:
        key = keys.create(conn, tenant_id, role, live=live)
        found = keys.find(conn, key)

    assert key.startswith(prefix)
    assert len(key) == len(prefix) + 43
    assert found is not None
    assert (found.tenant_id, found.role, found.live) == (tenant_id, role, live)


def test_a_key_exists_nowhere_but_in_the_answer(engine: Engine, tenant_id: uuid.UUID) -> None:
    with engine.begin() as conn:
        key = keys.create(conn, tenant_id, KeyRole.STOREFRONT, live=False)
        row = conn.execute(select(tables.api_keys).where(tables.api_keys.c.tenant_id == tenant_id)).one()

    assert key[12:] not in repr(row)


@pytest.mark.parametrize("shown", ["", "sk_dev_", "sk_dev_" + "A" * 43, "\ud800", "x" * 10_000])
def test_a_key_nobody_made_finds_nobody(engine: Engine, shown: str) -> None:
    with engine.begin() as conn:
        assert keys.find(conn, shown) is None


def test_a_revoked_or_expired_key_finds_nobody(engine: Engine, tenant_id: uuid.UUID) -> None:
    with engine.begin() as conn:
        revoked = keys.create(conn, tenant_id, KeyRole.STOREFRONT, live=False)
        expired = keys.create(
            conn, tenant_id, KeyRole.STOREFRONT, live=False, expires_at=datetime.now(UTC) - timedelta(days=1)
        )
        good = keys.create(
            conn, tenant_id, KeyRole.STOREFRONT, live=False, expires_at=datetime.now(UTC) + timedelta(days=1)
        )

        assert not keys.revoke(conn, uuid.uuid4(), keys.key_id_of(revoked))  # Another tenant cannot.
        assert keys.revoke(conn, tenant_id, keys.key_id_of(revoked))
        assert keys.revoke(conn, tenant_id, keys.key_id_of(revoked)), "again changes nothing"
        assert not keys.revoke(conn, tenant_id, "0" * 16)
        assert keys.find(conn, revoked) is None
        assert keys.find(conn, expired) is None
        assert keys.find(conn, good) is not None


def test_accounts_come_by_rank_and_disabled_ones_only_by_name(engine: Engine, tenant_id: uuid.UUID) -> None:
    second = an_account(tenant_id, provider="second")
    first = an_account(tenant_id, provider="first")
    disabled = an_account(tenant_id, provider="disabled")
    with engine.begin() as conn:
        accounts.save(conn, RING, second, rank=20)
        accounts.save(conn, RING, first, rank=10)
        accounts.save(conn, RING, disabled, rank=1, enabled=False)

        assert accounts.for_tenant(conn, RING, tenant_id) == [first, second]
        assert accounts.for_tenant(conn, RING, uuid.uuid4()) == []
        assert accounts.get(conn, RING, tenant_id, "disabled") == disabled
        assert accounts.get(conn, RING, uuid.uuid4(), "first") is None
        assert accounts.by_account_id(conn, RING, first.account_id) == first
        assert accounts.by_account_id(conn, RING, disabled.account_id) == disabled
        assert accounts.by_account_id(conn, RING, "acc_unknown") is None


def test_saving_an_account_again_replaces_it(engine: Engine, tenant_id: uuid.UUID) -> None:
    before = an_account(tenant_id)
    after = an_account(tenant_id, credentials={"apiKey": "new"}, channels=frozenset({Channel.SEPA}))
    with engine.begin() as conn:
        accounts.save(conn, RING, before)
        accounts.save(conn, RING, after)

        assert accounts.for_tenant(conn, RING, tenant_id) == [after]
        assert accounts.by_account_id(conn, RING, before.account_id) is None


def test_credentials_are_sealed_to_their_tenant(engine: Engine, tenant_id: uuid.UUID) -> None:
    other = Tenant(uuid.uuid4(), "Other", TenantSettings())
    with engine.begin() as conn:
        tenants.save(conn, other)
        accounts.save(conn, RING, an_account(tenant_id))
        accounts.save(conn, RING, an_account(other.tenant_id))
        row = conn.execute(text("SELECT * FROM psp_accounts WHERE tenant_id = :t"), {"t": tenant_id}).one()
        assert "zq7credential" not in repr(row)

        moved = {"credentials": row.credentials, "t": other.tenant_id}
        conn.execute(text("UPDATE psp_accounts SET credentials = :credentials WHERE tenant_id = :t"), moved)
        with pytest.raises(CannotOpen):
            accounts.for_tenant(conn, RING, other.tenant_id)


def test_an_account_keeps_its_terms_and_is_found_with_them_by_its_webhook_address(
    engine: Engine, tenant_id: uuid.UUID
) -> None:
    terms = AccountTerms(frozenset({"EUR", "USD"}), frozenset({"EUR"}), fee_bps=140, fee_minor=25, calls_per_s=12.5)
    kept = an_account(tenant_id, terms=terms)
    with engine.begin() as conn:
        accounts.save(conn, RING, kept)

        assert accounts.get(conn, RING, tenant_id, "sandbox") == kept
        assert accounts.by_account_id(conn, RING, kept.account_id) == kept
