"""`c2a keyring create` makes a ring the product can read, once."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from shared import keyring
from shared.cli.main import main


def test_a_ring_is_made_and_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    assert CliRunner().invoke(main, ["keyring", "create", str(path)]).exit_code == 0
    assert len(keyring.load(path).keys) == 1


def test_a_ring_that_exists_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    CliRunner().invoke(main, ["keyring", "create", str(path)])
    before = path.read_bytes()
    refused = CliRunner().invoke(main, ["keyring", "create", str(path)])
    assert refused.exit_code == 1
    assert path.read_bytes() == before
