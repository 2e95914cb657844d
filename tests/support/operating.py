"""An operator at a shell: the c2a command on a room's own database, with the room's keys."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from shared import keyring
from shared.cli.main import main
from shared.operate.actions import Desk
from shared.operate.asking import Asked
from shared.operate.proving import Proof, Verdict, prove
from shared.store.operator_actions import Acted
from tests.support.desks import desk_beside
from tests.support.engine_room import EngineRoom


def a_desk(room: EngineRoom) -> Desk:
    """What actions are done with, beside *room*."""
    return desk_beside(room.run)


def proves(room: EngineRoom, number: str, verdict: Verdict, reference: str | None = None) -> Acted:
    """An operator says what they saw in the PSP's console."""
    by = Asked("Ana", "seen in the PSP's console", uuid.uuid4())
    return prove(a_desk(room), room.seller.shop.tenant_id, number, by, Proof(verdict, reference))


@contextmanager
def at_a_shell(room: EngineRoom, folder: Path) -> Iterator[None]:
    """The environment of whoever runs commands beside *room*."""
    keyring.save(room.run.keyring, folder / "keyring.json")
    settings = room.run.settings
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", settings.database_url.get_secret_value())
        patch.setenv("BROKER_URL", settings.broker_url.get_secret_value())
        patch.setenv("VAULT_URL", settings.vault_url.get_secret_value())
        patch.setenv("C2A_KEYRING", str(folder / "keyring.json"))
        yield


def c2a(*arguments: object) -> Result:
    """Run a command in this process, on a wide terminal."""
    return CliRunner().invoke(main, [str(one) for one in arguments], env={"COLUMNS": "400"})


def said(*arguments: object) -> dict[str, Any]:
    """The JSON document of a command that did what it was asked; `run` would send what is logged elsewhere."""
    result = c2a(*arguments, "--json")
    assert result.exit_code == 0, result.output
    document: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return document


def refused(*arguments: object) -> str:
    """What a command that refused said."""
    result = c2a(*arguments)
    assert result.exit_code == 1, result.output
    return result.output
