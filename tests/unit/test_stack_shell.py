"""The shell that `. .local/env` makes: what it knows, and what it leaves alone."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

import pytest

from deploy.stack import shell
from deploy.stack.home import Home

FACTS: Final = {"baseUrl": "http://127.0.0.1:8080", "tenant": "t-1", "apiKey": "sk_dev_it's"}
SETTINGS: Final = {"DATABASE_URL": "postgresql://c2a:p'w$d@127.0.0.1:1/c2a", "C2A_KEYRING": "/a b/keyring.json"}
WITHIN_S: Final = 10.0


def said(home: Home, command: str, sh: str = "bash") -> str:
    env = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    script = f". '{home.shell_file}'; {command}"
    return subprocess.run([sh, "-c", script], env=env, capture_output=True, text=True, timeout=WITHIN_S).stdout


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home whose stack runs."""
    made = Home(tmp_path).make()
    shell.write(made, FACTS, SETTINGS)
    return made


@pytest.mark.parametrize("sh", ["bash", "sh"])
def test_a_shell_knows_the_api_its_tenant_and_its_key(home: Home, sh: str) -> None:
    told = said(home, 'echo "$C2A_URL $C2A_TENANT $C2A_KEY"', sh)

    assert told == "http://127.0.0.1:8080 t-1 sk_dev_it's\n"


@pytest.mark.parametrize("sh", ["bash", "sh"])
def test_a_command_run_in_the_stack_has_its_settings_and_its_programs(home: Home, sh: str) -> None:
    told = said(home, 'in_stack sh -c "printenv DATABASE_URL C2A_KEYRING; command -v python"', sh).splitlines()

    assert told[:2] == list(SETTINGS.values())
    assert told[2] == str(shell.PROGRAMS / "python")


def test_the_shell_itself_keeps_no_address_that_a_later_start_would_take_for_the_users_own(home: Home) -> None:
    assert said(home, "in_stack true; printenv DATABASE_URL C2A_KEYRING") == ""


def test_it_is_for_its_owner_alone(home: Home) -> None:
    assert home.shell_file.stat().st_mode & 0o777 == 0o600
