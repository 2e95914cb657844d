"""`c2a keyring` makes a ring the product can read, once; rotates it without losing what it sealed; retires a key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from shared import keyring
from shared.cli.main import main
from shared.key_service import RetiredKey
from shared.local_keys import LocalKeys


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["keyring", *map(str, arguments)])


def told(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    answer: dict[str, Any] = json.loads(result.output)
    return answer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "keyring.json"
    assert run("create", made).exit_code == 0
    return made


def test_a_ring_is_made_and_can_be_read(path: Path) -> None:
    ring = keyring.load(path)
    assert isinstance(ring.keys, LocalKeys)
    assert list(ring.keys.keys) == ["k1"]


def test_a_ring_that_exists_is_never_overwritten(path: Path) -> None:
    before = path.read_bytes()
    assert run("create", path).exit_code == 1
    assert path.read_bytes() == before


def test_after_a_rotation_a_new_key_seals_and_the_old_one_opens(path: Path) -> None:
    sealed = keyring.load(path).seal(b"4111", bound_to="here")
    assert told(run("rotate", path, "--json")) == {
        "keyring": str(path), "seals": "k2", "opens": "k1, k2", "retired": ""
    }  # fmt: skip
    assert keyring.load(path).open(sealed, bound_to="here") == b"4111"


def test_a_prepared_key_seals_with_the_next_rotation(path: Path) -> None:
    assert told(run("rotate", "--prepare", path, "--json"))["seals"] == "k1"
    assert told(run("rotate", path, "--json"))["opens"] == "k1, k2"
    assert told(run("rotate", path, "--json"))["opens"] == "k1, k2, k3"


def test_a_key_is_retired_only_when_that_is_confirmed_and_then_refuses_by_name(path: Path) -> None:
    sealed = keyring.load(path).seal(b"4111", bound_to="here")
    run("rotate", path)
    assert run("retire", "--lose", path, "k1").exit_code == 1
    assert keyring.load(path).open(sealed, bound_to="here") == b"4111"

    answer = told(run("retire", "--lose", path, "k1", "--yes", "--json"))
    assert (answer["opens"], answer["retired"]) == ("k2", "k1")
    with pytest.raises(RetiredKey):
        keyring.load(path).open(sealed, bound_to="here")


@pytest.mark.parametrize("key_id", ["k1", "k7"])
def test_the_key_that_seals_and_one_that_is_not_there_are_not_retired(path: Path, key_id: str) -> None:
    before = path.read_bytes()
    assert run("retire", "--lose", path, key_id, "--yes").exit_code == 1
    assert path.read_bytes() == before


@pytest.mark.parametrize("held", [None, "{}"])
def test_what_is_no_ring_is_refused_in_a_sentence(tmp_path: Path, held: str | None) -> None:
    path = tmp_path / "none.json"
    if held is not None:
        path.write_text(held)
    refused = run("rotate", path)
    assert refused.exit_code == 1
    assert refused.output.startswith("Error: ")
