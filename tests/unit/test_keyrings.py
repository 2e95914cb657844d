"""Which keys a process uses: a file's, the environment's, and outside development never none."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from shared import keyring, keyrings
from shared.config import Mode, Settings
from shared.keyrings import NoKeyring

PRODUCTION = Settings(mode=Mode.PRODUCTION, keyring=None, keyring_document=None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "keyring.json"
    keyring.save(keyring.fresh(), made)
    return made


def test_outside_development_there_is_no_default_key() -> None:
    with pytest.raises(NoKeyring, match="c2a keyring create"):
        keyrings.of(PRODUCTION)


def test_in_development_each_process_may_have_a_key_of_its_own() -> None:
    settings = PRODUCTION.model_copy(update={"mode": Mode.DEVELOPMENT})
    sealed = keyrings.of(settings).seal(b"4111", bound_to="here")
    with pytest.raises(ValueError, match="does not belong"):
        keyrings.of(settings).open(sealed, bound_to="here")


def test_a_file_and_the_environment_give_the_same_keys(path: Path) -> None:
    file = keyrings.of(PRODUCTION.model_copy(update={"keyring": path}))
    document = PRODUCTION.model_copy(update={"keyring_document": SecretStr(path.read_text())})
    assert keyrings.of(document).open(file.seal(b"4111", bound_to="here"), bound_to="here") == b"4111"


def test_the_environment_is_read_under_its_own_name(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("C2A_KEYRING_DOCUMENT", path.read_text())
    settings = Settings()
    assert settings.keyring_document is not None
    assert keyrings.of(settings) == keyring.load(path)
    assert keyring.load(path).pepper.hex() not in repr(settings)


def test_two_sources_of_keys_are_refused(path: Path) -> None:
    both = PRODUCTION.model_copy(update={"keyring": path, "keyring_document": SecretStr(path.read_text())})
    with pytest.raises(NoKeyring, match="not both"):
        keyrings.of(both)


@pytest.mark.parametrize("held", [None, "", "{}"])
def test_a_file_that_cannot_be_used_is_refused_by_name(tmp_path: Path, held: str | None) -> None:
    path = tmp_path / "keyring.json"
    if held is not None:
        path.write_text(held)
    with pytest.raises(NoKeyring, match="C2A_KEYRING"):
        keyrings.of(PRODUCTION.model_copy(update={"keyring": path}))
