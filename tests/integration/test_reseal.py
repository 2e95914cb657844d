"""After a rotation and a reseal the old key may be retired, and nothing that was kept is lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import LargeBinary

from shared import key_file, keyring
from shared.brought import open_brought, seal_brought
from shared.cli.main import main
from shared.config import Settings
from shared.domain.outcomes import Captured
from shared.kept import open_kept
from shared.local_keys import LocalKeys
from shared.psp.port import EventKind, PspEvent
from shared.store import accounts, inbox, sealed, tables
from shared.store.engine import statements
from shared.told import open_told
from tests.support import engine_room
from tests.support.engine_room import EngineRoom
from tests.support.psp import Sandbox
from tests.support.wire import fresh_card, stored_card
from workers.pay import pay
from workers.tokenize import tokenize

BROUGHT: Final = {"redirectResult": "what the PSP's page gave"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "keyring.json"
    keyring.save(keyring.fresh(), made)
    return made


@pytest.fixture
def room(
    settings: Settings, vault_url: str, shared_psp: Sandbox, path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[EngineRoom]:
    monkeypatch.setenv("DATABASE_URL", settings.database_url.get_secret_value())
    with engine_room.opened(settings, vault_url, shared_psp, keyring=key_file.follow(path)) as room:
        yield room
        # Its values are sealed by keys that nobody has after this test.
        for table in ("stored_methods", "psp_events", "psp_accounts"):
            room.sql(f"DELETE FROM {table}")
        room.sql("UPDATE payment_attempts SET kept_token = NULL, brought = NULL")


def c2a(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["keyring", *map(str, arguments)])


def said(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


def everything_kept(room: EngineRoom) -> str:
    """An account, a stored method, what a PSP kept with a charge, what a shopper brought back for it, an event; the
    method's URN."""
    number = room.locked(fresh_card(storeMethodSuccessPayment="always"))
    assert pay(room.run, number)
    tokenize(room.run, number)
    attempt = room.attempt(number)
    event = PspEvent(f"evt_{number}", EventKind.CHARGE, None, None, Captured("sb_1", attempt.money))
    with statements(room.run.engine) as conn:
        inbox.keep(conn, room.run.keyring, room.seller.shop.tenant_id, "sandbox", event)
    brought = seal_brought(room.run.keyring, attempt, BROUGHT)
    room.sql("UPDATE payment_attempts SET brought = :b WHERE tracking_number = :n", b=brought, n=number)
    [(urn,)] = room.sql("SELECT method_urn FROM stored_methods WHERE tracking_number = :n", n=number)
    return str(urn)


def test_every_column_of_sealed_values_is_known() -> None:
    bytes_of_others = {tables.api_keys.c.key_hash, tables.idempotency_keys.c.digest}
    held = {c for table in tables.metadata.tables.values() for c in table.columns if isinstance(c.type, LargeBinary)}
    assert {one.column for one in sealed.COLUMNS} == held - bytes_of_others


def test_a_key_that_still_opens_something_is_not_retired_and_after_a_reseal_nothing_is_lost(
    room: EngineRoom, path: Path
) -> None:
    urn = everything_kept(room)
    c2a("rotate", path)
    refused = c2a("retire", path, "k1", "--yes")
    assert refused.exit_code == 1
    assert "5 values" in refused.output

    assert said(c2a("reseal", path, "--json")) == {"keyring": str(path), "resealed": 5, "unreadable": 0}
    assert said(c2a("reseal", path, "--json"))["resealed"] == 0
    assert said(c2a("retire", path, "k1", "--yes", "--json"))["opens"] == "k2"

    number = room.locked(stored_card(urn))
    assert pay(room.run, number)  # The account and the method opened.
    [first] = room.sql("SELECT tracking_number FROM stored_methods WHERE method_urn = :u", u=urn)
    assert open_kept(room.run.keyring, room.attempt(first[0])) is not None
    assert open_brought(room.run.keyring, room.attempt(first[0])) == BROUGHT
    tenant, event_id = room.seller.shop.tenant_id, f"evt_{first[0]}"
    [(outcome,)] = room.sql("SELECT outcome FROM psp_events WHERE event_id = :e", e=event_id)
    assert isinstance(open_told(room.run.keyring, tenant, event_id, outcome), Captured)


def test_what_was_sealed_before_there_were_data_keys_is_resealed_and_counted_too(room: EngineRoom, path: Path) -> None:
    ring, tenant = keyring.load(path), room.seller.shop.tenant_id
    assert isinstance(ring.keys, LocalKeys)
    place, nonce = accounts.bound_to(tenant, "sandbox"), bytes(12)
    plain = json.dumps({"apiKey": "old"}).encode()
    old = b"k1." + nonce + AESGCM(ring.keys.keys["k1"]).encrypt(nonce, plain, place.encode())
    room.sql("UPDATE psp_accounts SET credentials = :c WHERE tenant_id = :t", c=old, t=tenant)
    c2a("rotate", path)
    assert "1 values" in c2a("retire", path, "k1", "--yes").output

    assert said(c2a("reseal", path, "--json"))["resealed"] == 1
    said(c2a("retire", path, "k1", "--yes", "--json"))
    with statements(room.run.engine) as conn:
        [account] = accounts.for_tenant(conn, room.run.keyring, tenant)
    assert account.credentials == {"apiKey": "old"}


def test_what_no_key_opens_is_counted_and_stops_nothing(room: EngineRoom, path: Path) -> None:
    everything_kept(room)
    room.sql("UPDATE stored_methods SET token = 'sealed by another'")
    c2a("rotate", path)
    result = c2a("reseal", path, "--json")
    assert said(result) == {"keyring": str(path), "resealed": 4, "unreadable": 1}
    assert result.stderr.startswith("not opened by any key: stored_methods ")


def test_pages_of_values_meet_without_a_gap(room: EngineRoom, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed, "PAGE", 2)
    for _ in range(5):
        everything_kept(room)
    c2a("rotate", path)
    assert said(c2a("reseal", path, "--json"))["resealed"] == 1 + 5 + 5 + 5 + 5
