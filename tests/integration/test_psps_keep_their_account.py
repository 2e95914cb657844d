"""While money is open at an account, `c2a psps set` puts no other one in its place; its secrets are rotated."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from secrets import token_hex

import pytest
from click.testing import CliRunner, Result

from shared import keyring
from shared.cli.main import main
from shared.config import Settings
from shared.domain.outcomes import NotSent
from shared.domain.states import OrderState
from shared.operate import actions
from shared.psp.port import Account
from shared.store import accounts
from shared.store.attempts import AttemptState
from shared.store.engine import statements
from tests.support import engine_room, refunding
from tests.support.acting import challenged, does, paid
from tests.support.engine_room import EngineRoom
from tests.support.psp import Sandbox
from tests.support.wire import channel
from workers.pay import pay
from workers.return_money import return_money


@dataclass(frozen=True, slots=True)
class Shell:
    """The operator of a room's tenant."""

    room: EngineRoom
    folder: Path

    def sets(self, *arguments: str, credentials: Mapping[str, str] | None = None) -> Result:
        """Run `c2a psps set` for the room's account."""
        told = []
        if credentials is not None:
            path = self.folder / "credentials.json"
            path.write_text(json.dumps(dict(credentials)))
            told = ["--credentials", str(path)]
        account = self.room.account
        command = ["psps", "set", account.provider, "--tenant", account.tenant_id, *arguments, *told]
        result = CliRunner().invoke(main, command, env={"COLUMNS": "300"})
        assert "key_" not in result.output
        return result

    def kept(self) -> Account:
        """The account as the product reads it."""
        room = self.room
        with statements(room.run.engine) as conn:
            found = accounts.get(conn, room.run.keyring, room.seller.shop.tenant_id, room.account.provider)
        assert found is not None
        return found


@pytest.fixture
def shell(
    settings: Settings,
    vault_url: str,
    shared_psp: Sandbox,
    postgres_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Shell]:
    shared_psp.heal()
    with engine_room.opened(settings, vault_url, shared_psp, lease_s=1) as room:
        keyring.save(room.run.keyring, tmp_path / "keyring.json")
        monkeypatch.setenv("DATABASE_URL", postgres_url)
        monkeypatch.setenv("C2A_KEYRING", str(tmp_path / "keyring.json"))
        yield Shell(room, tmp_path)
    shared_psp.heal()


def opens(shell: Shell, psp: Sandbox, kind: str) -> str:
    """An order whose money is open in that way."""
    room = shell.room
    match kind:
        case "challenged":
            return challenged(room)
        case "pending":
            psp.set_faults(settleSeconds=600)
            number = room.locked(channel("SEPA"))
            pay(room.run, number)
            return number
        case "refund":
            number = refunding.done(room)
            refunding.refund(room, number, 500)
            return number
        case _:
            number = room.locked()
            room.dies_while_charging(number, after_the_charge=True)
            if kind == "returning":
                room.sql(
                    "UPDATE payment_attempts SET outcome = 'returning', psp_reference = :r, due_at = now()"
                    " WHERE tracking_number = :n",
                    r=f"sb_{token_hex(8)}",
                    n=number,
                )
            return number


@pytest.mark.parametrize("kind", ["open", "challenged", "pending", "returning", "refund"])
def test_an_account_with_open_money_is_not_put_at_another_address(shell: Shell, shared_psp: Sandbox, kind: str) -> None:
    opens(shell, shared_psp, kind)
    before = shell.kept()

    result = shell.sets("--base-url", "http://127.0.0.1:9", credentials=before.credentials)

    assert result.exit_code == 1
    assert "money is open at this account" in result.stderr
    assert "another --base-url" in result.stderr
    assert shell.kept() == before


def test_an_account_with_open_money_is_not_given_to_another_adapter(shell: Shell, shared_psp: Sandbox) -> None:
    opens(shell, shared_psp, "open")
    before = shell.kept()

    arguments = ("--adapter", "stripe", "--channel", "CreditCard")
    result = shell.sets(*arguments, credentials={"apiKey": "key_of_another", "webhookSecret": "whsec_another"})

    assert result.exit_code == 1
    assert "another --adapter" in result.stderr
    assert shell.kept() == before


def test_credentials_of_an_account_that_does_not_know_our_charges_are_refused(
    shell: Shell, shared_psp: Sandbox
) -> None:
    """Its PSP would call absent whatever is asked about there, and take an open payment a second time."""
    opens(shell, shared_psp, "open")
    number = paid(shell.room)
    before = shell.kept()

    result = shell.sets(credentials=shared_psp.account().credentials)

    assert result.exit_code == 1
    assert f"another account, for it does not know {shell.room.attempt(number).psp_reference}" in result.stderr
    assert shell.kept() == before


def test_credentials_about_which_its_psp_says_nothing_are_not_taken_yet(shell: Shell, shared_psp: Sandbox) -> None:
    opens(shell, shared_psp, "open")
    paid(shell.room)
    before = shell.kept()
    shared_psp.set_faults(down="503")

    result = shell.sets(credentials={**before.credentials, "apiKey": f"key_{token_hex(16)}"})

    assert result.exit_code == 1
    assert "does not say with them whether they are of the same account" in result.stderr
    assert shell.kept() == before


def test_the_key_of_the_same_account_is_rotated_while_money_is_open(shell: Shell, shared_psp: Sandbox) -> None:
    number = opens(shell, shared_psp, "challenged")
    paid(shell.room)
    account = shell.room.account
    rotated = {"apiKey": f"key_{token_hex(16)}", "webhookSecret": account.credentials["webhookSecret"]}
    shared_psp.post("/accounts", {"accountId": account.account_id, "webhookUrl": None, **rotated})

    assert shell.sets(credentials=rotated).exit_code == 0

    assert shell.kept() == replace(account, credentials=rotated)
    assert shell.room.attempt(number).outcome is AttemptState.CHALLENGED


def test_the_account_that_holds_what_waits_to_go_back_is_put_right_again(shell: Shell, shared_psp: Sandbox) -> None:
    """Somebody had put another one in its place, which took money since."""
    room = shell.room
    does(room, actions.cancel, paid(room))
    others = shared_psp.account().credentials
    with room.owner.begin() as conn:
        accounts.save(conn, room.run.keyring, replace(room.account, credentials=others))
    paid(room)

    assert shell.sets(credentials=room.account.credentials).exit_code == 0

    assert shell.kept() == room.account


@pytest.mark.parametrize("what", ["terms", "the secret of its webhooks"])
def test_what_is_no_other_account_is_changed_without_asking_its_psp(
    shell: Shell, shared_psp: Sandbox, what: str
) -> None:
    opens(shell, shared_psp, "open")
    paid(shell.room)
    shared_psp.set_faults(down="503")
    credentials = {**shell.kept().credentials, "webhookSecret": "whsec_c2VjcmV0LW9mLXRoZS13ZWJob29rcw=="}

    result = shell.sets("--fee-bps", "90") if what == "terms" else shell.sets(credentials=credentials)

    assert result.exit_code == 0


def test_once_nothing_is_open_another_account_may_take_its_name(shell: Shell, shared_psp: Sandbox) -> None:
    number = opens(shell, shared_psp, "open")
    shell.room.tell(shell.room.attempt(number), NotSent("refused"))
    assert shell.room.state(number) is OrderState.OFFER_LOCKED
    done = refunding.done(shell.room)
    refunding.refund(shell.room, done)
    return_money(shell.room.run, done)
    others = shared_psp.account().credentials

    assert shell.sets("--base-url", "http://127.0.0.1:9", credentials=others).exit_code == 0

    assert shell.kept().credentials == others


@pytest.mark.parametrize("is_other", [True, False], ids=["another", "the same"])
def test_a_psp_that_cannot_be_asked_is_told_by_the_account_its_credentials_name(
    shell: Shell, shared_psp: Sandbox, is_other: bool
) -> None:
    opens(shell, shared_psp, "open")
    paid(shell.room)
    credentials = {"apiKey": "key_one", "merchantAccount": "ShopECOM", "hmacKey": token_hex(32)}
    with shell.room.owner.begin() as conn:
        account = replace(shell.room.account, adapter="adyen", credentials=credentials)
        accounts.save(conn, shell.room.run.keyring, account)

    named = "OtherECOM" if is_other else "ShopECOM"
    result = shell.sets(credentials={**credentials, "apiKey": "key_two", "merchantAccount": named})

    assert (result.exit_code, "merchantAccount is another one" in result.stderr) == (int(is_other), is_other)
