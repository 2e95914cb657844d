"""A process follows its key file: keys rotate and retire while it runs, and a broken file stops nobody."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from shared import key_file, keyring
from shared.key_service import RetiredKey
from shared.keyring import Keyring
from shared.local_keys import BadRing, LocalKeys

ROTATIONS = 50


def change(path: Path, change: str, *args: str) -> None:
    ring = keyring.load(path)
    assert isinstance(ring.keys, LocalKeys)
    keyring.save(replace(ring, keys=getattr(ring.keys, change)(*args)), path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "keyring.json"
    keyring.save(keyring.fresh(), made)
    return made


def test_a_rotated_key_seals_at_once_and_what_the_old_one_sealed_opens(path: Path) -> None:
    ring = key_file.follow(path)
    before = ring.seal(b"4111", bound_to="here")
    change(path, "rotated")
    after = ring.seal(b"5555", bound_to="here")
    assert (before[:4], after[:4]) == (keyring.sealed_under("k1"), keyring.sealed_under("k2"))
    assert (ring.open(before, bound_to="here"), ring.open(after, bound_to="here")) == (b"4111", b"5555")


def test_a_retired_key_refuses_at_once(path: Path) -> None:
    ring = key_file.follow(path)
    sealed = ring.seal(b"4111", bound_to="here")
    change(path, "rotated")
    change(path, "without", "k1")
    with pytest.raises(RetiredKey):
        ring.open(sealed, bound_to="here")


def test_keys_rotate_under_load_and_no_value_fails_to_open(path: Path) -> None:
    """One process seals, another opens at once what it sealed, while the key is rotated fifty times.

    Nobody rotates again before something was sealed, however the two come by a processor.
    """
    door, room = key_file.follow(path), key_file.follow(path)
    was_sealed, is_over, sealed_under = threading.Event(), threading.Event(), set()

    def rotate() -> None:
        for _ in range(ROTATIONS):
            change(path, "rotated")
            was_sealed.clear()
            was_sealed.wait(10)
        is_over.set()

    operator = threading.Thread(target=rotate)
    operator.start()
    while not is_over.is_set():
        sealed = door.seal(b"4111", bound_to="here")
        was_sealed.set()
        sealed_under.add(sealed[2 : 2 + sealed[1]])
        assert room.open(sealed, bound_to="here") == b"4111"
    operator.join()
    # What was sealed as the key was rotated may have been sealed under the one before.
    assert len(sealed_under) >= ROTATIONS / 2


@pytest.mark.parametrize("spoil", ["empty", "gone", "another"])
def test_a_spoilt_key_file_changes_nothing_for_who_runs_and_stops_who_starts(path: Path, spoil: str) -> None:
    ring, kept = key_file.follow(path), path.read_text()
    sealed = ring.seal(b"4111", bound_to="here")
    match spoil:
        case "empty":
            path.write_text("")
        case "gone":
            path.unlink()
        case "another":
            path.unlink()
            keyring.save(keyring.fresh(), path)
    assert ring.open(sealed, bound_to="here") == b"4111"
    if spoil != "another":
        with pytest.raises((BadRing, OSError)):
            key_file.follow(path)

    path.write_text(kept)
    change(path, "rotated")
    assert ring.seal(b"4111", bound_to="here").startswith(keyring.sealed_under("k2"))


def test_a_ring_in_a_file_shows_no_key(path: Path) -> None:
    ring: Keyring = key_file.follow(path)
    assert "pepper" not in repr(ring)
    assert repr(ring).startswith("Keyring(keys=<shared.key_file.FileKeys object")
