"""`c2a psps` as an operator uses it: accounts are set up and tried, and no credential is ever shown."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine

from shared import keyring
from shared.cli.main import main
from shared.keyring import Keyring
from shared.psp.credentials import NEEDS
from shared.psp.factory import ADAPTERS
from shared.psp.port import Account, AccountTerms, Channel
from shared.store import accounts
from tests.support import evil
from tests.support.front_door import a_shop
from tests.support.psp import Sandbox

SECRET: Final = "zq7secret"

CREDENTIALS: Final = {"apiKey": f"key_{SECRET}", "webhookSecret": f"whsec_{SECRET}"}

HERE: Final = "http://127.0.0.1:8090"

NEW: Final = ("--adapter", "sandbox", "--base-url", HERE, "--channel", "CreditCard")


@dataclass(frozen=True, slots=True)
class Shell:
    """An operator of one tenant."""

    engine: Engine
    ring: Keyring
    tenant: str
    folder: Path

    def c2a(self, command: str, *arguments: object, typed: str | None = None) -> Result:
        """Run `c2a psps` for the tenant."""
        asked = ["psps", command, *map(str, arguments), "--tenant", self.tenant]
        return CliRunner().invoke(main, asked, input=typed, env={"COLUMNS": "300"})

    def said(self, command: str, *arguments: object, typed: str | None = None) -> dict[str, Any]:
        """The JSON document of a command that did what it was asked."""
        result = self.c2a(command, *arguments, "--json", typed=typed)
        assert result.exit_code == 0, result.output
        assert SECRET not in result.output
        document: dict[str, Any] = json.loads(result.stdout)
        return document

    def file(self, document: object) -> Path:
        """A file with *document*, or with the bytes it is."""
        path = self.folder / "credentials.json"
        path.write_bytes(document if isinstance(document, bytes) else json.dumps(document).encode())
        return path

    def kept(self, provider: str = "psp") -> Account | None:
        """The account as the product reads it."""
        with self.engine.begin() as conn:
            return accounts.get(conn, self.ring, uuid.UUID(self.tenant), provider)

    def opens(self, account: Account) -> None:
        """Keep *account* as this tenant's, as `set` would."""
        with self.engine.begin() as conn:
            accounts.save(conn, self.ring, replace(account, tenant_id=self.tenant, provider="psp"))


@pytest.fixture
def shell(engine: Engine, postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    ring = keyring.fresh()
    keyring.save(ring, tmp_path / "keyring.json")
    monkeypatch.setenv("DATABASE_URL", postgres_url)
    monkeypatch.setenv("C2A_KEYRING", str(tmp_path / "keyring.json"))
    monkeypatch.setenv("C2A_PUBLIC_URL", "https://pay.shop.example")
    return Shell(engine, ring, str(a_shop(engine).tenant_id), tmp_path)


def test_an_account_is_created_sealed_and_its_webhook_address_is_told(shell: Shell) -> None:
    terms = ("--currency", "EUR", "--currency", "USD", "--home-currency", "EUR", "--fee-bps", 150, "--fee-minor", 25)
    told = shell.said(
        "set", "psp", *NEW, "--channel", "SEPA", *terms, "--calls-per-s", 25, "--rank", 7, "--credentials",
        shell.file(CREDENTIALS),
    )  # fmt: skip

    account = shell.kept()
    assert account is not None
    assert (account.adapter, account.base_url) == ("sandbox", HERE)
    assert account.channels == {Channel.CREDIT_CARD, Channel.SEPA}
    assert account.credentials == CREDENTIALS
    assert account.terms == AccountTerms(frozenset({"EUR", "USD"}), frozenset({"EUR"}), 150, 25, 25.0)
    address = f"https://pay.shop.example/api/v1/c2a/psp/psp/{account.account_id}/webhook"
    assert told == {
        "provider": "psp",
        "tenant": shell.tenant,
        "adapter": "sandbox",
        "enabled": True,
        "webhookUrl": address,
    }


@pytest.mark.parametrize("way", ["file", "standard input", "typed"])
def test_credentials_come_by_file_by_standard_input_or_typed_unseen(shell: Shell, way: str) -> None:
    match way:
        case "file":
            shell.said("set", "psp", *NEW, "--credentials", shell.file(CREDENTIALS))
        case "standard input":
            shell.said("set", "psp", *NEW, "--credentials", "-", typed=json.dumps(CREDENTIALS))
        case _:
            shell.said("set", "psp", *NEW, typed="\n".join(CREDENTIALS.values()) + "\n")

    account = shell.kept()
    assert account is not None
    assert account.credentials == CREDENTIALS


def test_what_is_not_named_stays_as_it_was_the_webhook_address_too(shell: Shell) -> None:
    first = shell.said("set", "psp", *NEW, "--currency", "EUR", "--rank", 7, "--credentials", shell.file(CREDENTIALS))
    shell.said("disable", "psp")

    again = shell.said("set", "psp", "--fee-bps", 90, "--channel", "PayPal")
    account = shell.kept()

    assert account is not None
    assert again == first | {"enabled": False}
    assert account.credentials == CREDENTIALS
    assert account.terms == AccountTerms(frozenset({"EUR"}), frozenset(), 90)
    assert account.channels == {Channel.PAYPAL}
    [listed] = shell.said("list")["psps"]
    assert (listed["rank"], listed["enabled"]) == (7, False)


def test_limits_can_be_taken_back(shell: Shell) -> None:
    terms = ("--currency", "EUR", "--home-currency", "EUR", "--calls-per-s", 25)
    shell.said("set", "psp", *NEW, *terms, "--credentials", shell.file(CREDENTIALS))

    shell.said("set", "psp", "--currency", "any", "--home-currency", "none", "--calls-per-s", 0)

    account = shell.kept()
    assert account is not None
    assert account.terms == AccountTerms()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--adapter", "sandbox", "--channel", "SEPA"), "a new account needs --adapter, --base-url and --channel"),
        ((*NEW[:-2], "--base-url", f"http://10.0.0.1/{SECRET}", *NEW[-2:]), "--base-url: "),
        ((*NEW[:-2], "--base-url", f"ftp://127.0.0.1/{SECRET}", *NEW[-2:]), "--base-url: "),
        ((*NEW[:-2], "--base-url", f"{HERE}?{SECRET}", *NEW[-2:]), "--base-url: it must not carry a query"),
        ((*NEW, "--currency", "Euro"), "--currency: a currency is three capital letters"),
        ((*NEW, "--home-currency", "EUR", "--home-currency", "none"), "--home-currency: "),
    ],
)
def test_what_cannot_be_an_account_is_told_and_nothing_is_kept(
    shell: Shell, arguments: tuple[object, ...], reason: str
) -> None:
    result = shell.c2a("set", "psp", *arguments, "--credentials", shell.file(CREDENTIALS))

    assert result.exit_code == 1
    assert reason in result.stderr
    assert SECRET not in result.output
    assert shell.kept() is None


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"apiKey": SECRET}, "webhookSecret is missing"),
        (CREDENTIALS | {"apikey": SECRET}, "apikey is not one of apiKey, webhookSecret, webhookSecretBefore"),
        (CREDENTIALS | {f"sk-{SECRET}": "x"}, "a name in it is not one of"),
        (CREDENTIALS | {"apiKey": [SECRET]}, "apiKey must be a text"),
        (f'{{"apiKey": "{SECRET}"'.encode(), "not JSON"),
        (f'{{"apiKey": "{SECRET}", "apiKey": "b"}}'.encode(), "a field is told twice"),
        (b'"' + b"x" * 70_000 + b'"', "longer than 65536 bytes"),
    ],
)
def test_credentials_that_do_not_fit_are_told_by_name_and_never_shown(
    shell: Shell, document: object, reason: str
) -> None:
    result = shell.c2a("set", "psp", *NEW, "--credentials", shell.file(document))

    assert result.exit_code == 1
    assert reason in result.stderr
    assert SECRET not in result.output
    assert shell.kept() is None


def test_credentials_are_given_again_when_they_are_to_go_elsewhere(shell: Shell) -> None:
    shell.said("set", "psp", *NEW, "--credentials", shell.file(CREDENTIALS))

    result = shell.c2a("set", "psp", "--base-url", "http://127.0.0.1:9999")

    assert result.exit_code == 1
    assert "--credentials: give them again" in result.stderr
    account = shell.kept()
    assert account is not None
    assert account.base_url == HERE


@pytest.mark.parametrize("name", ["Stripe", "a/b", "a-", "a" * 65, "ä"])
def test_a_name_that_cannot_stand_in_an_address_is_refused(shell: Shell, name: str) -> None:
    result = shell.c2a("set", name, *NEW, "--credentials", shell.file(CREDENTIALS))

    assert result.exit_code == 1
    assert "PROVIDER: write it in" in result.stderr
    assert shell.said("list")["psps"] == []


def test_without_a_key_file_nothing_is_sealed(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that dies with the command would open what it sealed nowhere."""
    monkeypatch.delenv("C2A_KEYRING")

    result = shell.c2a("set", "psp", *NEW, "--credentials", shell.file(CREDENTIALS))

    assert result.exit_code == 1
    assert "C2A_KEYRING: name the key file" in result.stderr


def test_the_list_shows_everything_but_credentials(shell: Shell) -> None:
    shell.said("set", "psp", *NEW, "--fee-bps", 150, "--fee-minor", 25, "--credentials", shell.file(CREDENTIALS))
    shell.said("set", "first", *NEW, "--rank", 1, "--disabled", "--credentials", shell.file(CREDENTIALS))

    table = shell.c2a("list").output
    first, second = shell.said("list")["psps"]

    assert (first["provider"], first["enabled"]) == ("first", False)
    assert second == {
        "provider": "psp",
        "adapter": "sandbox",
        "baseUrl": HERE,
        "channels": ["CreditCard"],
        "enabled": True,
        "rank": accounts.RANK,
        "currencies": None,
        "homeCurrencies": [],
        "feeBps": 150,
        "feeMinor": 25,
        "callsPerS": None,
    }
    assert "1.5 % + 25" in table
    assert SECRET not in table


def test_an_account_is_disabled_and_enabled_again(shell: Shell) -> None:
    shell.said("set", "psp", *NEW, "--credentials", shell.file(CREDENTIALS))

    for command, enabled in (("disable", False), ("disable", False), ("enable", True)):
        assert shell.said(command, "psp") == {"provider": "psp", "tenant": shell.tenant, "enabled": enabled}
        assert [one["enabled"] for one in shell.said("list")["psps"]] == [enabled]


@pytest.mark.parametrize("command", ["enable", "disable", "check"])
def test_an_account_that_is_not_there_is_told(shell: Shell, command: str) -> None:
    result = shell.c2a(command, "psp")

    assert result.exit_code == 1
    assert "PROVIDER: this tenant has no such account" in result.stderr


def test_the_account_of_another_tenant_is_not_there(shell: Shell) -> None:
    shell.said("set", "psp", *NEW, "--credentials", shell.file(CREDENTIALS))
    other = replace(shell, tenant=str(a_shop(shell.engine).tenant_id))

    assert other.c2a("disable", "psp").exit_code == 1
    assert other.said("list")["psps"] == []
    assert shell.said("list")["psps"][0]["enabled"] is True


def check(shell: Shell) -> tuple[int, str]:
    """The exit code and the verdict of `c2a psps check`; it changes nothing."""
    before = shell.kept()
    result = shell.c2a("check", "psp", "--json")
    assert shell.kept() == before
    document = json.loads(result.stdout)
    assert document["detail"]
    return result.exit_code, document["result"]


def test_a_check_of_an_account_that_works_says_so_and_charges_nothing(shell: Shell, shared_psp: Sandbox) -> None:
    account = shared_psp.account()
    shell.opens(account)

    assert check(shell) == (0, "ok")
    assert shared_psp.charges(account) == []


def test_a_check_tells_credentials_that_are_refused(shell: Shell, shared_psp: Sandbox) -> None:
    account = shared_psp.account()
    shell.opens(replace(account, credentials={**account.credentials, "apiKey": SECRET}))

    assert check(shell) == (1, "credentials-refused")
    assert SECRET not in shell.c2a("check", "psp").output


def test_a_check_tells_that_nobody_is_there(shell: Shell, shared_psp: Sandbox) -> None:
    shell.opens(replace(shared_psp.account(), base_url="http://127.0.0.1:9"))

    assert check(shell) == (1, "unreachable")


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n<html>hi</html>", "not-this-psp"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "not-this-psp"),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "credentials-refused"),
        (b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n", "busy"),
        (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", "out-of-order"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "unreachable"),
    ],
)
def test_a_check_tells_what_answers_instead(shell: Shell, shared_psp: Sandbox, answer: bytes, result: str) -> None:
    with evil.serving(evil.saying(answer)) as url:
        shell.opens(replace(shared_psp.account(), base_url=url))
        assert check(shell) == (1, result)


def test_a_check_tells_an_adapter_of_another_version(shell: Shell, shared_psp: Sandbox) -> None:
    shell.opens(replace(shared_psp.account(), adapter="of another time"))

    assert check(shell) == (1, "no-adapter")


def test_every_adapter_says_what_it_needs() -> None:
    assert set(NEEDS) == set(ADAPTERS)


@pytest.mark.parametrize("command", ["list", "set", "enable", "disable", "check", "explain"])
def test_every_command_shows_an_example(command: str) -> None:
    result = CliRunner().invoke(main, ["psps", command, "--help"])

    assert result.exit_code == 0
    assert f"c2a psps {command} " in result.stdout
    assert "Example" in result.stdout
