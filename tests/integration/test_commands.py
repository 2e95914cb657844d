"""The c2a command as an operator uses it: what it changes, and that a refusal changes nothing."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner, Result
from redis import Redis
from sqlalchemy import Engine, func, select

from shared import revocations
from shared.cli.lines import BATCH, LONGEST_LINE
from shared.cli.main import main
from shared.store import catalogue, customers, keys, offers, tables, tenants
from shared.store.keys import KeyRole
from shared.store.offer_wire import to_wire
from shared.store.tenants import TenantSettings
from tests.support.catalogue import an_offer, bundle_line, promotion_line
from tests.support.front_door import a_shop

ROOT: Final = Path(__file__).parents[2]
DEMO: Final = ROOT / "deploy/stack/demo-catalogue.jsonl"
SECRET: Final = "zq7secret"


@pytest.fixture(autouse=True)
def _database(monkeypatch: pytest.MonkeyPatch, postgres_url: str) -> None:
    monkeypatch.setenv("DATABASE_URL", postgres_url)


@pytest.fixture
def tenant(engine: Engine) -> str:
    """The UUID of a new tenant."""
    return str(a_shop(engine).tenant_id)


def c2a(*arguments: object) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def said(result: Result) -> dict[str, Any]:
    """The JSON document of a command that did what it was asked."""
    assert result.exit_code == 0, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def a_file(folder: Path, *lines: object) -> Path:
    """A file of these lines; text and bytes as they are."""
    path = folder / "lines.jsonl"
    raw = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    path.write_bytes(b"".join(line + b"\n" for line in raw))
    return path


def test_a_tenant_is_created_and_may_be_given_a_limit(engine: Engine) -> None:
    made = said(c2a("tenants", "create", "Acme", "--json"))
    limited = said(c2a("tenants", "create", "Acme 2", "--tenant", made["tenant"], "--limit", 1_000_000, "--json"))

    assert limited == {"tenant": made["tenant"], "name": "Acme 2"}
    with engine.begin() as conn:
        found = tenants.get(conn, uuid.UUID(made["tenant"]))
    assert found is not None
    assert found.settings == TenantSettings(
        changes_per_minute=1_000_000, changes_burst=16_666, status_per_minute=30_000_000, status_burst=499_980
    )


@pytest.mark.parametrize(("role", "live"), [("storefront", False), ("read_only", True), ("operator", False)])
def test_a_key_is_printed_once_and_opens_its_tenant(engine: Engine, tenant: str, role: str, live: bool) -> None:
    options = ["--tenant", tenant, "--role", role, "--days", "1", "--json", *(["--live"] if live else [])]
    key = said(c2a("keys", "create", *options))["apiKey"]

    with engine.begin() as conn:
        found = keys.find(conn, key)
    assert found is not None
    assert (str(found.tenant_id), found.role, found.live) == (tenant, KeyRole(role), live)


def test_keys_are_listed_by_how_they_begin_and_never_whole(tenant: str) -> None:
    made = [said(c2a("keys", "create", "--tenant", tenant, "--role", role, "--json")) for role in KeyRole]

    listed = said(c2a("keys", "list", "--tenant", tenant, "--json"))["keys"]

    assert [(one["keyId"], one["role"]) for one in listed[1:]] == [(one["keyId"], one["role"]) for one in made]
    assert all(one["apiKey"].startswith(key["prefix"]) for one, key in zip(made, listed[1:], strict=True))
    for shown in (json.dumps(listed), c2a("keys", "list", "--tenant", tenant).output):
        assert not any(one["apiKey"][12:] in shown for one in made)
        assert all(one["keyId"] in shown for one in made)


def test_a_key_is_revoked_for_good_and_the_processes_are_told(
    engine: Engine, tenant: str, vault_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAULT_URL", vault_url)
    made = said(c2a("keys", "create", "--tenant", tenant, "--role", "storefront", "--json"))

    for _ in range(2):  # Again changes nothing and tells again.
        told = said(c2a("keys", "revoke", made["keyId"], "--tenant", tenant, "--json"))
        assert told == {"keyId": made["keyId"], "revoked": True, "atOnce": True}

    with engine.begin() as conn:
        assert keys.find(conn, made["apiKey"]) is None
    [_, listed] = said(c2a("keys", "list", "--tenant", tenant, "--json"))["keys"]
    assert listed["revokedAt"] is not None
    with Redis.from_url(vault_url) as redis:
        assert redis.exists(revocations.place_of(made["keyId"]))


def test_a_vault_that_is_away_does_not_keep_a_key_alive(
    engine: Engine, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAULT_URL", "redis://127.0.0.1:9/0")
    made = said(c2a("keys", "create", "--tenant", tenant, "--role", "storefront", "--json"))

    result = c2a("keys", "revoke", made["keyId"], "--tenant", tenant, "--json")

    assert said(result)["atOnce"] is False
    assert "up to 2 s more" in result.stderr
    with engine.begin() as conn:
        assert keys.find(conn, made["apiKey"]) is None


def test_a_key_of_another_tenant_cannot_be_revoked(engine: Engine, tenant: str) -> None:
    other = a_shop(engine)

    result = c2a("keys", "revoke", keys.key_id_of(other.key), "--tenant", tenant)

    assert result.exit_code == 1
    with engine.begin() as conn:
        assert keys.find(conn, other.key) is not None


def test_the_demo_catalogue_is_imported_and_importing_again_replaces_it(
    engine: Engine, tenant: str, tmp_path: Path
) -> None:
    bundles = sum('"kind": "bundle"' in line for line in DEMO.read_text().splitlines())
    assert said(c2a("catalogue", "import", DEMO, "--tenant", tenant, "--json"))["bundles"] == bundles

    again = a_file(tmp_path, bundle_line(), b"", promotion_line())
    assert said(c2a("catalogue", "import", again, "--tenant", tenant, "--json")) == {"bundles": 1, "promotions": 1}
    with engine.begin() as conn:
        found = catalogue.load(conn, uuid.UUID(tenant))
    assert [bundle.bundle_urn for bundle in found.bundles] == ["bn.00.42"]


def test_a_file_with_a_byte_order_mark_is_read(tenant: str, tmp_path: Path) -> None:
    file = a_file(tmp_path, b"\xef\xbb\xbf" + json.dumps(bundle_line()).encode())

    assert said(c2a("catalogue", "import", file, "--tenant", tenant, "--json"))["bundles"] == 1


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (bundle_line(bundleUrn="bn.2", itemIdentifier="it.2", maxQuantity=SECRET), "line 3: maxQuantity: "),
        (bundle_line(itemIdentifier="it.2"), "line 3: bundleUrn: already on line 1"),
        (promotion_line(code="P2", bundles=["bn.none"]), "line 3: bundles[0]: no bundle of the file"),
        (f'{{"kind": "{SECRET}"}}'.encode(), "line 3: kind: must be"),
        (f'{{"{SECRET}'.encode(), "line 3: not JSON"),
        (b'"' + b"x" * LONGEST_LINE + b'"', "line 3: longer than"),
        (b"\xff\xfe", "line 3: not JSON"),
        (bundle_line(bundleUrn="bn.2", itemIdentifier="it.2", **{"\x1b[31mred": 1}), "line 3: ?[31mred: "),
    ],
)
def test_a_bad_catalogue_line_is_told_and_nothing_is_imported(
    engine: Engine, tenant: str, tmp_path: Path, bad: object, reason: str
) -> None:
    before = a_file(tmp_path, bundle_line(bundleUrn="bn.before"))
    said(c2a("catalogue", "import", before, "--tenant", tenant, "--json"))

    file = a_file(tmp_path, bundle_line(), promotion_line(), bad)
    result = c2a("catalogue", "import", file, "--tenant", tenant)

    assert result.exit_code == 1
    assert reason in result.stderr
    assert "nothing of the file was imported" in result.stderr
    assert SECRET not in result.output
    assert "\x1b" not in result.output
    with engine.begin() as conn:
        found = catalogue.load(conn, uuid.UUID(tenant))
    assert [bundle.bundle_urn for bundle in found.bundles] == ["bn.before"]


def many_offers(count: int) -> list[dict[str, Any]]:
    """Offers of another system."""
    return [to_wire(an_offer(offer_identifier=f"of_{number}")) | {"customerUrn": "cu.7"} for number in range(count)]


def test_offers_of_another_system_are_imported(engine: Engine, tenant: str, tmp_path: Path) -> None:
    """More than one batch of them."""
    lines = many_offers(BATCH + 1)

    result = c2a("offers", "import", a_file(tmp_path, *lines), "--tenant", tenant, "--json")

    assert said(result) == {"offers": BATCH + 1}
    with engine.begin() as conn:
        last = offers.get(conn, uuid.UUID(tenant), f"of_{BATCH}")
        assert customers.is_known(conn, uuid.UUID(tenant), "cu.7")
    assert last == an_offer(offer_identifier=f"of_{BATCH}", customer_urn="cu.7")


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (to_wire(an_offer(offer_identifier="of_x")) | {"currency": "USD"}, "artifactGroups: every price"),
        (to_wire(an_offer(offer_identifier="of_0")), "offerIdentifier: already "),
        (to_wire(an_offer(offer_identifier="of_x")) | {"singleUse": SECRET}, "singleUse: "),
        (b'{"offerIdentifier": "of_x", "offerIdentifier": "of_y"}', "a field is told twice"),
    ],
)
def test_a_bad_offer_is_told_and_nothing_is_imported(
    engine: Engine, tenant: str, tmp_path: Path, bad: object, reason: str
) -> None:
    """Also when a batch before it has been written."""
    result = c2a("offers", "import", a_file(tmp_path, *many_offers(BATCH), bad), "--tenant", tenant)

    assert result.exit_code == 1
    assert f"line {BATCH + 1}: {reason}" in result.stderr
    assert SECRET not in result.output
    with engine.begin() as conn:
        kept = select(func.count()).select_from(tables.offers).where(tables.offers.c.tenant_id == uuid.UUID(tenant))
        assert conn.execute(kept).scalar_one() == 0


def test_an_offer_that_was_imported_before_is_a_bad_line(tenant: str, tmp_path: Path) -> None:
    c2a("offers", "import", a_file(tmp_path, *many_offers(1)), "--tenant", tenant)

    again = c2a("offers", "import", a_file(tmp_path, *reversed(many_offers(2))), "--tenant", tenant)

    assert again.exit_code == 1
    assert "line 2: offerIdentifier: already imported" in again.stderr


@pytest.mark.parametrize(
    "arguments",
    [("keys", "create", "--role", "operator"), ("catalogue", "import", DEMO), ("offers", "import", DEMO)],
)
def test_a_tenant_that_is_not_there_is_told(arguments: tuple[object, ...]) -> None:
    result = c2a(*arguments, "--tenant", uuid.uuid4())

    assert result.exit_code == 1
    assert "--tenant: there is no such tenant" in result.stderr


def test_a_database_that_is_away_is_told_without_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", f"postgresql://user:{SECRET}@127.0.0.1:1/none")

    result = c2a("tenants", "create", "Acme")

    assert result.exit_code == 1
    assert "PostgreSQL does not answer" in result.stderr
    assert SECRET not in result.output


def test_an_address_that_is_none_is_told_without_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", SECRET)

    result = c2a("tenants", "create", "Acme")

    assert result.exit_code == 1
    assert "DATABASE_URL: write it as" in result.stderr
    assert SECRET not in result.output


def test_tenants_are_listed_by_the_uuid_that_every_command_asks_for(engine: Engine) -> None:
    made = said(c2a("tenants", "create", "Acme\x1b[2J Media", "--json"))["tenant"]

    listed = said(c2a("tenants", "list", "--json"))["tenants"]
    line = next(line for line in c2a("tenants", "list").stdout.splitlines() if line.startswith(made))

    assert {"tenant": made, "name": "Acme?[2J Media"} in listed
    assert line == f"{made}  Acme?[2J Media"


def test_the_installed_command_prints_a_table_for_people(tenant: str) -> None:
    """The console script itself, as a process; no terminal, so no progress bar either."""
    command = [str(Path(sys.executable).with_name("c2a")), "catalogue", "import", str(DEMO), "--tenant", tenant]

    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert ran.returncode == 0, ran.stderr
    assert "bundles" in ran.stdout
    assert "{" not in ran.stdout
    assert ran.stderr == ""


def test_what_a_tenant_has_set_stays_until_it_is_set_otherwise(engine: Engine, tenant: str) -> None:
    page = "https://shop.example/thanks?from=checkout"
    offers_of_its_own = ["--offer-life", 60, "--single-use", "no", "--storefront", "st.1", "--return-url", page]
    c2a("tenants", "set", "--tenant", tenant, "--limit", 60, *offers_of_its_own)
    c2a("tenants", "create", "New name", "--tenant", tenant)

    told = said(c2a("tenants", "set", "--tenant", tenant, "--storefront", "", "--limit", 120, "--json"))

    assert told == {
        "tenant": tenant,
        "name": "New name",
        "offerLifeS": 60,
        "singleUseOffers": False,
        "changesPerMinute": 120,
        "changesBurst": 2,
        "statusPerMinute": 3_600,
        "statusBurst": 60,
        "returnUrl": page,
    }
    with engine.begin() as conn:
        found = tenants.get(conn, uuid.UUID(tenant))
    assert found is not None
    assert found.name == "New name"
    assert found.settings == TenantSettings(
        offer_life_s=60,
        single_use_offers=False,
        return_url=page,
        changes_per_minute=120,
        changes_burst=2,
        status_per_minute=3_600,
        status_burst=60,
    )


@pytest.mark.parametrize(
    ("option", "url"),
    [
        ("--return-url", f"https://0x7f.1/{SECRET}"),
        ("--return-url", f"https://{SECRET}@shop.example/"),
        ("--return-url", f"javascript:{SECRET}"),
        ("--return-url", f"https://shop.example/#{SECRET}"),
    ],
)
def test_a_url_that_is_not_safe_is_not_kept_and_not_repeated(
    engine: Engine, tenant: str, option: str, url: str
) -> None:
    result = c2a("tenants", "set", "--tenant", tenant, option, url)

    assert result.exit_code == 1
    assert f"{option}: " in result.stderr
    assert SECRET not in result.output
    with engine.begin() as conn:
        found = tenants.get(conn, uuid.UUID(tenant))
    assert found is not None
    assert found.settings.return_url is None
